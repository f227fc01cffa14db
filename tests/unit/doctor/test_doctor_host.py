"""What is told of this host, without a server; and how it is shown."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.cli.doctor import lines
from litefleet.config.settings import Credentials, Database, Directory, Replica, Server, Settings, Spool
from litefleet.doctor import Finding, by_gravity
from litefleet.doctor.databases import check_database
from litefleet.doctor.disk import file_system, mounted
from litefleet.doctor.host import check_host
from litefleet.doctor.servers import check_login, lasts
from litefleet.doctor.versions import resets_wal_wrongly, version_text
from litefleet.doctor.wal import judge
from litefleet.sqlite.holders import Holder
from litefleet.wal import WalIndex

SERVER = Server(("nats://127.0.0.1:1",))


def host(settings: Settings, databases: int = 1) -> dict[str, Finding]:
    return {finding.what: finding for finding in check_host(settings, databases)}


# the system


def test_files_are_counted_for_those_that_are_open_at_a_time(tmp_path: Path) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = soft // 8 + 1
    settings = Settings((), spool=Spool(tmp_path), max_open=many)
    assert host(settings, 1)["open files"].status == "ok"
    found = host(settings, many)["open files"]
    assert found.status == "warning"
    assert f"LimitNOFILE={8 * many + 64}" in found.hint
    assert host(replace(settings, max_open=5), many)["open files"].status == "ok"
    # A directory can have as many at any time.
    template = Database(tmp_path, Replica(SERVER, "B"))
    settings = replace(
        settings, directories=(Directory(tmp_path, "*", recursive=False, watch=True, template=template),)
    )
    assert host(settings, 1)["open files"].status == "warning"


def test_more_databases_than_files_that_may_be_watched(tmp_path: Path) -> None:
    watches = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    settings = Settings((), spool=Spool(tmp_path))
    assert host(settings, watches // 2)["file notification"].status == "ok"
    found = host(settings, watches)["file notification"]
    assert found.status == "warning"
    assert "fs.inotify.max_user_watches" in found.hint


def test_a_spool_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    what = f"spool {path}"
    assert host(Settings((), spool=Spool(path, 1000)))[what].status == "ok"
    path.mkdir()
    (path / "waiting").write_bytes(bytes(400))
    assert "400 of 1000 bytes used" in host(Settings((), spool=Spool(path, 1000)))[what].detail
    assert host(Settings((), spool=Spool(path, 1 << 60)))[what].status == "warning"


AS_NOBODY = """
import encodings.ascii, os, sys  # Python's own files may be out of reach afterwards
from pathlib import Path
from litefleet.config.settings import Database, Replica, Server, Settings, Spool
from litefleet.doctor.databases import check_database
from litefleet.doctor.host import check_host
os.setgid(65534)
os.setuid(65534)
path = Path(sys.argv[1])
settings = Settings((), spool=Spool(path.parent / "spool"))
for finding in check_database(Database(path, Replica(Server(()), "B"))) + check_host(settings, 1):
    if finding.status == "problem":
        print(finding.check, finding.detail)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_the_user_may_not_write_is_named(tmp_path: Path) -> None:
    place = tmp_path / "srv"
    place.mkdir()
    for directory in (place, *place.parents[:3]):
        directory.chmod(0o755)
    path = place / "app.db"
    path.write_bytes(b"")
    path.chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True, check=True, timeout=60,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"access no write access to {path}, {place}",
        f"spool no write access to {place}",
    ]


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /srv rw,relatime shared:2 - nfs4 server:/export rw
31 30 0:26 / /srv/with\\040space rw - xfs /dev/vdb rw
32 22 0:27 / /tmp rw - tmpfs tmpfs rw
33 22 0:28 / /tmp rw - ext4 /dev/vdc rw
nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/x", "ext4"),
        ("/srv/a.db", "nfs4"),
        ("/srv/with space/a.db", "xfs"),
        ("/srv2/a", "ext4"),
        ("/tmp/a", "ext4"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert mounted(MOUNTS, Path(path)) == kind


@given(st.text())
def test_any_text_in_the_place_of_the_mounts(text: str) -> None:
    assert isinstance(mounted(text, Path("/srv/a.db")), str)


def test_this_disk_has_a_file_system(tmp_path: Path) -> None:
    assert file_system(tmp_path) != ""


def test_a_wal_that_cannot_grow_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    path.write_bytes(b"")
    database = Database(path, Replica(SERVER, "B"))
    assert not [found for found in check_database(database) if found.check == "disk"]
    (found,) = [found for found in check_database(replace(database, wal_limit=1 << 60)) if found.check == "disk"]
    assert found.status == "warning"
    assert "`wal-limit`" in found.hint


# SQLite


@pytest.mark.parametrize(
    ("number", "affected"),
    [(3_006_023, False), (3_007_000, True), (3_040_001, True), (3_044_005, True), (3_044_006, False),
     (3_045_000, True), (3_050_006, True), (3_050_007, False), (3_051_000, True), (3_051_002, True),
     (3_051_003, False), (3_053_000, False)],
)  # fmt: skip
def test_versions_with_the_wal_reset_bug(number: int, affected: bool) -> None:
    assert resets_wal_wrongly(number) is affected


@given(st.integers(0, 9), st.integers(0, 999), st.integers(0, 999))
def test_a_version_is_written_as_people_do(major: int, minor: int, patch: int) -> None:
    assert version_text(major * 1_000_000 + minor * 1000 + patch) == f"{major}.{minor}.{patch}"


INDEX = WalIndex(4096, 1000, 500, b"saltsalt", b"checksum", 120)
READER = Holder(77, "python3", "reader", 120, 1000)
AGENT = Holder(78, "litefleet", "reader", 1000, 1000)
USED = 32 + 1000 * (24 + 4096)


def test_a_wal_is_judged_by_what_is_committed_in_it() -> None:
    assert judge("d", INDEX, 10 * USED, 2 * USED + 2, [READER]).status == "ok"
    assert judge("d", INDEX, USED, 2 * USED, [READER]).status == "warning"
    assert judge("d", INDEX, USED, USED, [READER]).status == "problem"
    # A WAL keeps its length when it is begun anew.
    assert judge("d", replace(INDEX, frames=0, backfilled=0), USED, USED, [READER]).status == "ok"


def test_the_agent_is_not_accused_while_there_is_somebody_else() -> None:
    found = judge("d", INDEX, USED, USED, [READER, AGENT])
    assert "`python3` (pid 77)" in found.detail
    assert "880 of 1000 frames to be copied" in found.detail
    assert "end its transaction" in found.hint
    alone = judge("d", INDEX, USED, USED, [AGENT])
    assert "`litefleet` (pid 78)" in alone.detail
    assert "agent runs" in alone.hint


# logins


@pytest.mark.parametrize(
    ("days", "status", "words"),
    [(-0.5, "problem", "expired on"), (0.5, "warning", "in 0 days"), (1.5, "warning", "in 1 day,"),
     (20.5, "warning", "in 20 days"), (21.5, "ok", "in 21 days")],
)  # fmt: skip
def test_how_long_something_lasts(days: float, status: str, words: str) -> None:
    found = lasts("tls", "x", "it", datetime.now(UTC) + timedelta(days=days), "renew it")
    assert found.status == status
    assert words in found.detail
    assert found.hint == ("" if status == "ok" else "renew it")


def jwt(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.c2ln"


def test_the_end_of_a_jwt_is_told() -> None:
    soon = jwt({"exp": int(datetime.now(UTC).timestamp()) + 3 * 86400 + 100})
    (found,) = check_login(replace(SERVER, credentials=Credentials(jwt=soon, seed="SU")))
    assert (found.status, "in 3 days" in found.detail) == ("warning", True)
    (found,) = check_login(replace(SERVER, credentials=Credentials(jwt=jwt({}), seed="SU")))
    assert (found.status, found.detail) == ("ok", "does not expire")


@given(st.text() | st.builds(jwt, st.dictionaries(st.just("exp"), st.integers() | st.text() | st.none())))
def test_any_jwt_has_an_end_or_none(text: str) -> None:
    (found,) = check_login(replace(SERVER, credentials=Credentials(jwt=text, seed="SU")))
    assert found.check == "login"


# how it is shown

FINDINGS = (
    Finding("ok", "a", "one", "fine"),
    Finding("problem", "b", "two", "bad\nin two lines", "mend it"),
    Finding("note", "c", "three", "so"),
    Finding("warning", "d", "four", "soon bad"),
    Finding("problem", "e", "five", "worse"),
)


def test_the_table_says_what_to_do_and_counts() -> None:
    assert lines(by_gravity(FINDINGS), colour=False) == [
        "problem  two: bad\n         in two lines",
        "         → mend it",
        "problem  five: worse",
        "warning  four: soon bad",
        "note     three: so",
        "ok       one: fine",
        "",
        "2 problems, 1 warning, 1 note, 1 ok",
    ]


def test_only_the_status_is_coloured() -> None:
    shown = lines(by_gravity(FINDINGS), colour=True)
    assert shown[0].startswith("\033[31;1mproblem\033[0m  two")
    assert sum(line.count("\033[0m") for line in shown) == len(FINDINGS)
