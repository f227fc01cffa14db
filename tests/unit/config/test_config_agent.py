"""What the agent serves, what it keeps on disk and open, and its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from litefleet.config import DEFAULT_SOCKET, Settings, Socket, Spool, load, parse


def settings(top: str, **environ: str) -> Settings:
    """Those of a file with ``top`` above its databases."""
    return parse(f"{top}\ndbs: [{{path: /a.db, replica: {{url: 'nats://h/b'}}}}]", source="f.yml", environ=environ)


@pytest.mark.parametrize("addr", [":9090", "127.0.0.1:1", "metrics.example.com:65535", "[::1]:9090", "[::]:9090"])
def test_addr_is_kept_as_it_is_written(addr: str) -> None:
    assert settings(f"addr: '{addr}'").addr == addr


def test_defaults() -> None:
    found = settings("")
    assert (found.addr, found.socket, found.spool, found.max_open, found.identity) == ("", Socket(), Spool(), 500, "")


def test_limits_and_name() -> None:
    found = settings("max-open: 3\nidentity: db-7\nspool: {path: /fast, limit: 2 GiB}")
    assert (found.max_open, found.identity, found.spool) == (3, "db-7", Spool(Path("/fast"), 2 << 30))


@pytest.mark.parametrize(
    ("text", "runtime", "path"),
    [
        ("", "", None),
        ("", "/run/lf", Path("/run/lf/litefleet.sock")),
        ("", "/run/lf:/run/other", Path("/run/lf/litefleet.sock")),
        ("socket: {enabled: false}", "/run/lf", None),
        ("socket: {enabled: true}", "", DEFAULT_SOCKET),
        ("socket: {enabled: true}", "/run/lf", Path("/run/lf/litefleet.sock")),
        ("socket: {path: /x.sock}", "/run/lf", Path("/x.sock")),
        ("socket: {enabled: true, path: /x.sock}", "", Path("/x.sock")),
    ],
)
def test_path_of_the_control_socket(text: str, runtime: str, path: Path | None) -> None:
    assert settings(text, RUNTIME_DIRECTORY=runtime).socket.path == path


@pytest.mark.parametrize("mode", ["0600", '"0600"', "600", "0o600"])
def test_permissions_of_the_socket_are_octal(mode: str) -> None:
    assert settings(f"socket: {{permissions: {mode}}}").socket.permissions == 0o600


def test_group_may_be_let_in() -> None:
    assert settings("socket: {permissions: 0660}").socket.permissions == 0o660


@pytest.mark.parametrize(
    ("text", "state", "path"),
    [
        ("", "", Spool().path),
        ("", "/var/lib/lf", Path("/var/lib/lf/spool")),
        ("", "/var/lib/lf:/srv/lf", Path("/var/lib/lf/spool")),
        ("spool: {limit: 1MiB}", "/var/lib/lf", Path("/var/lib/lf/spool")),
        ("spool: {path: /fast}", "/var/lib/lf", Path("/fast")),
    ],
)
def test_path_of_the_spool(text: str, state: str, path: Path) -> None:
    assert settings(text, STATE_DIRECTORY=state).spool.path == path


@pytest.mark.parametrize("expand_env", [True, False])
def test_directories_of_the_service_count_even_if_values_are_not_expanded(
    expand_env: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/lf")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/lf")
    file = tmp_path / "f.yml"
    file.write_text("dbs: [{path: /a.db, replica: {url: 'nats://h/b'}}]")
    found = load(file, expand_env=expand_env)
    assert (found.spool.path, found.socket.path) == (Path("/var/lib/lf/spool"), Path("/run/lf/litefleet.sock"))


def test_recovery_window_does_not_matter_if_nothing_is_removed() -> None:
    assert not settings("retention: {enabled: false}\nl0-retention: 0\nlevels: [{interval: 25h}]").retention_enabled
