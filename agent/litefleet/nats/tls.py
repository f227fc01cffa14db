"""The TLS context of a connection."""

from __future__ import annotations

import ssl

from litefleet.config.settings import TLS
from litefleet.errors import TLSFailed


def make_context(tls: TLS) -> ssl.SSLContext:
    """A context that verifies the server and its name; reads files.

    Raises ``TLSFailed`` for a CA file that cannot be used.
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
    return context
