"""Servers: whether each one of the list lets us in, how it encrypts, and how long what we show it lasts."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from litefleet.config.settings import Credentials, Server
from litefleet.doctor.certificate import parse_pem
from litefleet.doctor.finding import Finding, Status
from litefleet.doctor.handshake import Greeting, greet
from litefleet.doctor.together import together
from litefleet.errors import LitefleetError, ServerUnreachable
from litefleet.nats.connection import Connection
from litefleet.nats.credentials import describe, read_creds

#: Batched direct get came with 2.11.
LEAST_SERVER = (2, 11)
#: Days before the end from which on a certificate or login is worth a warning.
SOON = 21


async def check_servers(server: Server) -> list[Finding]:
    """Whether each server of the list lets us in, is new enough, and encrypts."""
    found = await together([partial(_check_server, server, url) for url in server.urls])
    findings = list(chain.from_iterable(found))
    if any(finding.check == "server" and finding.status == "ok" for finding in findings):
        return findings
    # Those that cannot be reached are no more than a warning while another can.
    return [replace(finding, status="problem") if finding.check == "server" else finding for finding in findings]


async def _check_server(server: Server, url: str) -> list[Finding]:
    what = f"server {url}"
    try:
        greeting: Greeting | None = await asyncio.to_thread(greet, server, url)
    except (OSError, ValueError):
        greeting = None  # the connection below says why, and better
    findings = [] if greeting is None else _encryption(what, server, greeting)
    try:
        async with Connection.open(replace(server, urls=(url,)), name="litefleet doctor") as connection:
            version = connection.server_version
    except ServerUnreachable as error:
        return [Finding("warning", "server", what, error.message, error.hint), *findings]
    except LitefleetError as error:
        return [Finding("problem", "server", what, error.message, error.hint), *findings]
    detail = f"nats-server {version}, let in with {describe(server.credentials)}"
    if _numbers(version) < LEAST_SERVER:
        return [Finding("problem", "server", what, detail, "update it to 2.11 or newer"), *findings]
    return [Finding("ok", "server", what, detail), *findings]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split(".")[:2] if part.isdigit())


def _encryption(what: str, server: Server, greeting: Greeting) -> list[Finding]:
    if not greeting.tls:
        if server.tls is not None:
            return []  # not let in either: that finding says it
        if server.credentials == Credentials():
            return [Finding("note", "tls", what, "not encrypted", "whoever is on the way can read the backups")]
        return [
            Finding(
                "warning", "tls", what, "logged in without encryption: login and backups can be read on the way",
                "give nats-server a `tls` block and the replica `tls: true` with `root-cas`",
            )
        ]  # fmt: skip
    certificate = greeting.certificate
    if certificate is None:
        return [Finding("warning", "tls", what, f"{greeting.tls} without a certificate")]
    names = ", ".join(certificate.names) or "no host name"
    detail = f"{greeting.tls}, certificate for {names} by {certificate.issuer}"
    return [
        lasts("tls", what, detail, certificate.not_after, "renew it with `ansible-playbook playbooks/rotate_tls.yml`")
    ]


def lasts(check: str, what: str, detail: str, end: datetime, hint: str) -> Finding:
    """How long something lasts that ends at ``end``."""
    left = end - datetime.now(UTC)
    day = end.strftime("%Y-%m-%d")
    if left.total_seconds() <= 0:
        return Finding("problem", check, what, f"{detail}: expired on {day}", hint)
    status: Status = "warning" if left.days < SOON else "ok"
    days = f"{left.days} day{'' if left.days == 1 else 's'}"
    return Finding(status, check, what, f"{detail}: expires in {days}, on {day}", "" if status == "ok" else hint)


def check_login(server: Server) -> list[Finding]:
    """How long our credentials and our certificate last, and who else can read them; blocks for a moment."""
    credentials = server.credentials
    findings = []
    if (jwt := _jwt(credentials)) is not None:
        what = describe(credentials)
        end = _expiry(jwt)
        if end is None:
            findings.append(Finding("ok", "login", what, "does not expire"))
        else:
            hint = "issue new ones with `ansible-playbook playbooks/rotate_credentials.yml`"
            findings.append(lasts("login", what, "the user's JWT", end, hint))
    if server.tls is not None and server.tls.client_cert is not None:
        findings.append(_client_certificate(server.tls.client_cert))
    for path in _secret_files(server):
        findings += secret_file(path)
    return findings


def _jwt(credentials: Credentials) -> str | None:
    if credentials.jwt is not None:
        return credentials.jwt
    if credentials.creds is None:
        return None
    try:
        return read_creds(credentials.creds).jwt
    except LitefleetError:
        return None  # nor is the agent let in with it: that finding says why


def _expiry(jwt: str) -> datetime | None:
    """When a JWT ends; None for never, or where that cannot be read."""
    body = jwt.split(".")[1] if jwt.count(".") == 2 else ""
    try:
        end = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))).get("exp")
        return datetime.fromtimestamp(end, UTC) if end else None
    except (ValueError, AttributeError, TypeError, OverflowError, OSError, RecursionError):
        return None


def _client_certificate(path: Path) -> Finding:
    what = f"client certificate {path}"
    try:
        certificate = parse_pem(path.read_text("ascii", "replace"))
    except OSError as error:
        return Finding("problem", "tls", what, error.strerror or str(error), "make it readable for the agent's user")
    except ValueError as error:
        return Finding("problem", "tls", what, str(error), "see whether `client-cert` is right")
    detail = f"for {certificate.subject} by {certificate.issuer}"
    return lasts(
        "tls", what, detail, certificate.not_after, "renew it with `ansible-playbook playbooks/rotate_tls.yml`"
    )


def _secret_files(server: Server) -> list[Path]:
    credentials, tls = server.credentials, server.tls
    files = [credentials.creds, tls.client_key if tls is not None else None]
    if credentials.nkey is not None and credentials.nkey.startswith("/"):
        files.append(Path(credentials.nkey))
    return [path for path in files if path is not None]


def secret_file(path: Path) -> list[Finding]:
    """A warning if everybody on this host may read it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return []  # whoever needs it says so
    if not mode & stat.S_IROTH:
        return []
    return [
        Finding("warning", "login", str(path), "holds a secret, and every user of this host can read it",
                f"`chmod o-rwx {path}`")
    ]  # fmt: skip
