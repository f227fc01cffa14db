"""The configuration file itself, and what it holds that others should not read."""

from __future__ import annotations

import stat
from pathlib import Path

from litefleet.config.settings import Credentials, Settings
from litefleet.doctor.finding import Finding


def check_configuration(path: Path, settings: Settings) -> list[Finding]:
    """A file that was read without a complaint; blocks for a moment."""
    what = f"configuration {path}"
    count = len(settings.databases), len(settings.directories)
    detail = ", ".join(
        f"{number} {word if number == 1 else words}"
        for number, word, words in zip(count, ("database", "directory"), ("databases", "directories"), strict=True)
        if number
    )
    findings = [Finding("ok", "configuration", what, detail or "neither a database nor a directory")]
    try:
        mode, text = path.stat().st_mode, path.read_text("utf-8", "replace")
    except OSError:
        return findings
    replicas = [database.replica for database in settings.databases]
    replicas += [directory.template.replica for directory in settings.directories]
    secrets = {secret for replica in replicas for secret in _secrets(replica.server.credentials)}
    if mode & stat.S_IROTH and any(secret in text for secret in secrets):
        detail = "holds a secret, and every user of this host can read it"
        findings.append(Finding("warning", "configuration", what, detail, f"`chmod o-rwx {path}`"))
    return findings


def _secrets(credentials: Credentials) -> list[str]:
    nkey = credentials.nkey if credentials.nkey is not None and not credentials.nkey.startswith("/") else None
    return [
        secret for secret in (credentials.password, credentials.token, credentials.seed, nkey) if secret is not None
    ]
