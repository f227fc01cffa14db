"""What went wrong with a connection: from sockets, TLS and the server's words to the error tree."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from nats import errors as nats_errors
from nats.aio.errors import ErrStaleConnection

from litefleet.config.settings import Credentials, Server
from litefleet.errors import (
    AuthenticationFailed,
    NatsError,
    PermissionDenied,
    RequestFailed,
    ServerUnreachable,
    TLSFailed,
)
from litefleet.nats.credentials import LoginFileBroken, describe
from litefleet.nats.wire import LinkClosed, PlaintextRefused, ServerSays

#: OpenSSL's X509_V_ERR_ numbers.
EXPIRED, NOT_YET_VALID, NAME_DIFFERS, ADDRESS_DIFFERS = 10, 9, 62, 64

#: Ends of the names that OpenSSL gives to what a server says about a client's certificate.
_ABOUT_CLIENT = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
)

REACH_HINT = "check that nats-server is running, that a firewall lets its port (usually 4222) through, and the URL"


def explain(cause: BaseException | None, url: str, server: Server) -> NatsError:
    """The error for one attempt at one server."""
    if isinstance(cause, LoginFileBroken):
        return cause.error
    if isinstance(cause, NatsError):
        return cause
    if isinstance(cause, ssl.SSLError | PlaintextRefused) or (
        isinstance(cause, LinkClosed) and cause.wants_certificate
    ):
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
    if cause is None:
        return "no cause is known"
    text = str(cause)
    if "[Errno 111]" in text:  # in whatever asyncio wraps it when a name has several addresses
        return "Connection refused"
    if "expecting INFO" in text or "info message" in text or isinstance(cause, ValueError):
        return "what answers there is not a NATS server"
    for kinds, words in _WORDS:
        if isinstance(cause, kinds):
            return words
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return text.removeprefix("nats: ").strip("'") or type(cause).__name__


_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "the host name cannot be resolved"),
    ((nats_errors.UnexpectedEOF, LinkClosed), "the server closed the connection"),
    ((nats_errors.StaleConnectionError, ErrStaleConnection), "the server stopped answering"),
    (TimeoutError, "no answer in time"),
    (nats_errors.NoServersError, "no server left to try"),
)


def denied(action: str, subject: str, url: str) -> PermissionDenied:
    """The error for a subject the user has no right to."""
    return PermissionDenied(
        f"Permission denied: the user may not {action} `{subject}` on {url}",
        hint="grant it, for example with `ansible-playbook playbooks/nats.yml`; docs/security.md lists what is needed",
    )


class NobodyAnswers(RequestFailed):
    """Nothing listens to the subject of a request."""


def no_responders(subject: str, url: str) -> NobodyAnswers:
    """The error for a request that nothing on the server listens to."""
    return NobodyAnswers(
        f"Nothing on {url} answers `{subject}`",
        hint="JetStream is not enabled for this account, or the stream has no leader or no direct access",
    )


def _server_words(cause: BaseException | None) -> str | None:
    """What the server said with ``-ERR``, if it did."""
    if isinstance(cause, ServerSays):
        return str(cause)
    if isinstance(cause, nats_errors.Error) and (found := re.fullmatch(r"nats: '(.+)'", str(cause).strip())):
        return found.group(1)
    return None


def _refusal(words: str, url: str, server: Server) -> NatsError:
    lowered = words.lower()
    who = _who(server)
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


def _who(server: Server) -> str:
    """As whom we came, for messages."""
    if server.credentials == Credentials() and server.tls is not None and server.tls.client_cert is not None:
        return f"the client certificate `{server.tls.client_cert}`"
    return describe(server.credentials)


def _login_hint(server: Server) -> str:
    for name, hint in _LOGIN_HINTS.items():
        if getattr(server.credentials, name) is not None:
            return hint
    if server.tls is not None and server.tls.client_cert is not None:
        return "check that the server maps certificates to users (`verify_and_map`) and has one of this name"
    return "the server wants a login: set `username` and `password`, `token`, `nkey`, `jwt` and `seed`, or `creds`"


#: By the setting that tells the kind of login.
_LOGIN_HINTS = {
    "creds": "check that the file belongs to a user of this server's operator and has not been replaced",
    "jwt": "check that `jwt` is of a user of this server's operator, and `seed` is that user's",
    "nkey": "check that the server knows the public key of this nkey",
    "token": "check `token` against the server's",
    "username": "check `username` and `password`",
}


def _tls_error(cause: ssl.SSLError | PlaintextRefused | LinkClosed, url: str, server: Server) -> TLSFailed:
    if isinstance(cause, PlaintextRefused):
        what = "the server does not encrypt although `tls` is set; nothing was sent to it"
        hint = "give nats-server a `tls` block, or remove `tls` from the replica"
    elif isinstance(cause, ssl.SSLCertVerificationError):
        what, hint = _distrust(cause, server)
    elif isinstance(cause, LinkClosed) or (cause.reason or "").endswith(_ABOUT_CLIENT):
        what, hint = _refused_certificate(cause, server)
    else:
        what = (cause.reason or str(cause)).replace("_", " ").lower()
        hint = "check that the `tls` blocks of both sides fit together"
    return TLSFailed(f"TLS handshake failed with {url}: {what}", hint=hint)


def _refused_certificate(cause: ssl.SSLError | LinkClosed, server: Server) -> tuple[str, str]:
    """What the server has against our certificate; a link that was cut at once may lose the server's own words."""
    certificate = None if server.tls is None else server.tls.client_cert
    if certificate is None:
        return "the server asks clients for a certificate", "set `client-cert` and `client-key`"
    said = "" if isinstance(cause, LinkClosed) else cause.reason or ""
    if said.endswith("CERTIFICATE_EXPIRED"):
        return (
            f"the client certificate `{certificate}` has expired or is not valid yet",
            "renew it, for example with `ansible-playbook playbooks/rotate_tls.yml`, or check the clocks of both hosts",
        )
    if said.endswith("UNKNOWN_CA"):
        return (
            f"the server does not trust the CA of the client certificate `{certificate}`",
            "take one of the CA in `ca_file` of the server's `tls` block",
        )
    return (
        f"the server refuses the client certificate `{certificate}`",
        "check that it has not expired and is of the CA in `ca_file` of the server's `tls` block; its log says more",
    )


def _distrust(cause: ssl.SSLCertVerificationError, server: Server) -> tuple[str, str]:
    """What is wrong with a certificate, and what to do."""
    code = cause.verify_code
    if code == EXPIRED:
        return (
            "the server's certificate has expired",
            "renew it, for example with `ansible-playbook playbooks/rotate_tls.yml`",
        )
    if code == NOT_YET_VALID:
        return "the server's certificate is not valid yet", "check the clocks of both hosts"
    if code in (NAME_DIFFERS, ADDRESS_DIFFERS):
        return (
            "the server's certificate is for another host name",
            "use a name of the certificate in the URL, or issue one that names this host",
        )
    return (
        f"the server's certificate is not trusted ({cause.verify_message})",
        f"set `root-cas` to the CA that signed it; {_cas(server)}",
    )


def _cas(server: Server) -> str:
    files: tuple[Path, ...] = server.tls.root_cas if server.tls is not None else ()
    if not files:
        return "now only the CAs of the operating system are trusted"
    return "now trusted: " + ", ".join(f"`{path}`" for path in files)
