"""The TLS context of a connection: whom we trust, and the certificate we show."""

from __future__ import annotations

import ssl
from pathlib import Path

from litefleet.config.settings import TLS
from litefleet.errors import TLSFailed


def make_context(tls: TLS) -> ssl.SSLContext:
    """A context that verifies the server and its name; reads files.

    Raises ``TLSFailed`` for a file that cannot be used.
    """
    if not tls.root_cas:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in tls.root_cas:
            try:
                context.load_verify_locations(cafile=path)
            except ssl.SSLError as error:
                raise TLSFailed(
                    f"No CA certificate in `{path}`", hint="`root-cas` takes files in PEM format"
                ) from error
            except OSError as error:
                raise TLSFailed(
                    f"Cannot read the CA file `{path}`: {error.strerror}",
                    hint="check the path and the mode of the file",
                ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_cert is not None and tls.client_key is not None:
        _show(context, tls.client_cert, tls.client_key)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Load what proves who we are; the server decides whether it wants to see it."""
    for what, path in (("client certificate", certificate), ("client key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise TLSFailed(
                f"Cannot read the {what} `{path}`: {error.strerror}", hint="check the path and the mode of the file"
            ) from error
    try:
        # Without a password here, OpenSSL would ask the terminal for that of a protected key.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            what = f"The key `{key}` is not that of the client certificate `{certificate}`"
        else:
            what = f"No client certificate and key that can be used in `{certificate}` and `{key}`"
        raise TLSFailed(
            what, hint="`client-cert` and `client-key` take PEM files, the key without a password"
        ) from error
