"""The programs in docs/python.md do what is said there, one after the other in one directory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from litefleet.config.keys import DATABASE, TOP
from tests.support.natsserver import NatsServer
from tests.support.running import litefleet as command
from tests.support.running import make_bucket

PAGE = Path(__file__).parents[3] / "docs" / "python.md"


def test_the_programs_of_the_page_run(server: NatsServer, tmp_path: Path) -> None:
    for name in ("app", "log"):
        make_bucket(server.url, name)
    programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    outputs = [_run(program.replace("nats://127.0.0.1:4222", server.url), tmp_path) for program in programs]
    assert len(outputs) == 3
    assert re.fullmatch(r"replicating \d+\n", outputs[0])
    assert outputs[1] == ""
    assert re.fullmatch(r"TXID [0-9a-f]{16} of .+, \d+ bytes\nNothing can be restored at .+\n", outputs[2])
    command("restore", f"{server.url}/log", "-o", tmp_path / "log.restored", "--integrity-check", "full")


def _run(program: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    # A database that the program is about to make is no error.
    assert all(line.endswith("log.db: does not exist yet; waiting for it") for line in done.stderr.splitlines())
    return done.stdout


def test_the_options_that_the_page_names_exist() -> None:
    known = TOP.known | DATABASE.known
    named = re.findall(r"`([a-z_]+)=", PAGE.read_text())
    own = {"txid", "timestamp", "force", "takeover", "integrity_check", "timeout"}
    assert named
    assert {name.replace("_", "-") for name in named if name not in own} <= known
