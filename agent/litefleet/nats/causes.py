"""What went wrong with a connection: from sockets, TLS and the server's words to the error tree."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from nats import errors as nats_errors

from litefleet.config.settings import Server
from litefleet.errors import AuthenticationFailed, NatsError, ServerUnreachable, TLSFailed
from litefleet.nats.credentials import LoginFileBroken, describe
from litefleet.nats.wire import LinkClosed, PlaintextRefused, ServerSays

#: OpenSSL's X509_V_ERR_ numbers.
EXPIRED, NOT_YET_VALID, NAME_DIFFERS, ADDRESS_DIFFERS = 10, 9, 62, 64

REACH_HINT = "check that nats-server is running, that a firewall lets its port (usually 4222) through, and the URL"


def explain(cause: BaseException | None, url: str, server: Server) -> NatsError:
    """The error for one attempt at one server."""
    if isinstance(cause, NatsError):
        return cause
    if isinstance(cause, LoginFileBroken) and isinstance(cause.error, NatsError):
        return cause.error
    if isinstance(cause, PlaintextRefused):
        return TLSFailed(
            f"TLS handshake failed: {url} does not encrypt, and `tls: true` is set; nothing was sent to it",
            hint="give nats-server a `tls` block, or remove `tls` from the replica",
        )
    if isinstance(cause, LinkClosed) and cause.wants_certificate:
        return TLSFailed(
            f"TLS handshake failed: {url} asks clients for a certificate",
            hint="turn `verify` off in the `tls` block of nats-server",
        )
    if isinstance(cause, ssl.SSLError):
        return _tls_error(cause, url, server)
    if (words := _server_words(cause)) is not None:
        return _refusal(words, url, server)
    return ServerUnreachable(f"Cannot connect to {url}: {reason(cause)}", hint=REACH_HINT)


def combine(failures: Sequence[tuple[str, NatsError]]) -> NatsError:
    """The one error to report after every server of the list was tried."""
    for kind in (AuthenticationFailed, TLSFailed):
        for _, error in failures:
            if isinstance(error, kind):
                return error
    if len(failures) == 1:
        return failures[0][1]
    tried = ", ".join(f"{url} ({error.message.partition(': ')[2]})" for url, error in failures)
    return ServerUnreachable(f"Cannot connect to any of {len(failures)} servers: {tried}", hint=REACH_HINT)


def reason(cause: BaseException | None) -> str:
    """A cause in a few words, for logs and messages."""
    text = str(cause) if cause is not None else ""
    if isinstance(cause, socket.gaierror):
        return "the host name cannot be resolved"
    if isinstance(cause, ConnectionRefusedError) or "[Errno 111]" in text:
        return "Connection refused"
    if isinstance(cause, nats_errors.StaleConnectionError) or type(cause).__name__ == "ErrStaleConnection":
        return "the server stopped answering"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, nats_errors.UnexpectedEOF | LinkClosed):
        return "the server closed the connection"
    if isinstance(cause, nats_errors.NoServersError) or cause is None:
        return "no server left to try"
    if "expecting INFO" in text or "info message" in text:
        return "what answers there is not a NATS server"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return text.removeprefix("nats: ").strip("'") or type(cause).__name__


def _server_words(cause: BaseException | None) -> str | None:
    """What the server said with ``-ERR``, if it did."""
    if isinstance(cause, ServerSays):
        return str(cause)
    if isinstance(cause, nats_errors.Error) and (found := re.fullmatch(r"nats: '(.+)'", str(cause).strip())):
        return found.group(1)
    return None


def _refusal(words: str, url: str, server: Server) -> NatsError:
    lowered = words.lower()
    who = describe(server.credentials)
    if "expired" in lowered or "revoked" in lowered:
        what = "have expired" if "expired" in lowered else "were revoked"
        return AuthenticationFailed(
            f"Authorization violation: the credentials for {url} {what} ({who})",
            hint="issue new ones, for example with `ansible-playbook playbooks/rotate_credentials.yml`",
        )
    if "auth" in lowered:
        return AuthenticationFailed(f"Authorization violation: {url} refuses {who}", hint=_login_hint(server))
    if "secure connection" in lowered or "tls" in lowered:
        return TLSFailed(f"TLS handshake failed: {url} says `{words}`", hint="set `tls: true` and `root-cas`")
    return ServerUnreachable(f"Cannot connect to {url}: the server says `{words}`", hint="see the log of nats-server")


def _login_hint(server: Server) -> str:
    credentials = server.credentials
    if credentials.creds is not None:
        return "check that the file belongs to a user of this server's operator and has not been replaced"
    if credentials.nkey is not None:
        return "check that the server knows the public key of this nkey"
    if credentials.token is not None:
        return "check `token` against the server's"
    if credentials.username is not None:
        return "check `username` and `password`"
    return "the server wants a login: set `username` and `password`, `token`, `nkey` or `creds`"


def _tls_error(cause: ssl.SSLError, url: str, server: Server) -> NatsError:
    start = f"TLS handshake failed with {url}: "
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code == EXPIRED:
            return TLSFailed(
                start + "the server's certificate has expired",
                hint="renew it, for example with `ansible-playbook playbooks/rotate_tls.yml`",
            )
        if cause.verify_code == NOT_YET_VALID:
            return TLSFailed(start + "the server's certificate is not valid yet", hint="check the clocks of both hosts")
        if cause.verify_code in (NAME_DIFFERS, ADDRESS_DIFFERS):
            return TLSFailed(
                start + "the server's certificate is for another host name",
                hint="use the name of the certificate in the URL, or issue one that names this host",
            )
        return TLSFailed(
            start + f"the server's certificate is not trusted ({cause.verify_message})",
            hint="set `root-cas` to the CA that signed it; " + _cas(server),
        )
    return TLSFailed(
        start + (cause.reason or str(cause)).replace("_", " ").lower(),
        hint="check that the `tls` blocks of both sides fit together",
    )


def _cas(server: Server) -> str:
    files: tuple[Path, ...] = server.tls.root_cas if server.tls is not None else ()
    if not files:
        return "now only the CAs of the operating system are trusted"
    return "now trusted: " + ", ".join(f"`{path}`" for path in files)
