"""The control socket's place in the file system."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from litefleet.errors import ConfigError
from litefleet.service.listener import listener, peer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o660])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_mode_is_the_one_asked_for(path: Path, mode: int, mask: int) -> None:
    with umask(mask), listener(path, mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_it_is_never_open_to_more_users(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at between the moment it gets its name and the moment its mode is set."""
    seen: list[int] = []
    monkeypatch.setattr(Path, "chmod", lambda self, _: seen.append(stat.S_IMODE(self.stat().st_mode)))
    with umask(0), listener(path, 0o600):
        assert seen == [0o600]


def test_it_is_gone_afterwards(path: Path) -> None:
    with listener(path, 0o600):
        assert path.is_socket()
    assert not path.exists()


def test_what_a_dead_agent_left_is_replaced(path: Path) -> None:
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=30)
    assert path.is_socket()
    with listener(path, 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert peer(client) == (os.getpid(), os.geteuid())


def test_one_that_lives_is_refused_by_its_process(path: Path) -> None:
    with listener(path, 0o600):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} listens there"), listener(path, 0o600):
            pass
        assert path.is_socket()


def test_one_that_is_too_busy_to_answer_lives_too(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(str(path))
        busy.listen(0)
        first.connect(str(path))
        with pytest.raises(ConfigError, match="another process"), listener(path, 0o600):
            pass
        assert path.is_socket()


def test_another_file_is_never_touched(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"), listener(path, 0o600):
        pass
    assert path.read_text() == "precious"


def test_one_that_somebody_put_in_its_place_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        with listener(path, 0o600):
            path.unlink()
            other.bind(str(path))
        assert path.is_socket()


@pytest.mark.parametrize(
    ("place", "what"), [("x" * 120, "AF_UNIX path too long"), ("no/such/directory", "No such file or directory")]
)
def test_a_place_that_cannot_be(tmp_path: Path, place: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"{what}.*socket.path"), listener(tmp_path / place, 0o600):
        pass


def test_its_directory_is_made_and_others_do_not_get_in(tmp_path: Path) -> None:
    with umask(0), listener(tmp_path / "run" / "control.sock", 0o600):
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750
