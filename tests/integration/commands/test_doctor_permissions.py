"""For each subject that a user lacks, `litefleet doctor` names that subject and no other, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from litefleet.bucket.settings import BucketSettings, apply
from litefleet.config.settings import Credentials, Server
from litefleet.nats.connection import Connection
from tests.integration.commands.doctor import Report, configuration, database
from tests.support.natsserver import NatsServer, nats_server

PUBLISH = (
    "$JS.API.STREAM.INFO.OBJ_B",
    "$JS.API.DIRECT.GET.OBJ_B",
    "$JS.API.DIRECT.GET.OBJ_B.>",
    "$JS.API.STREAM.PURGE.OBJ_B",
    "$O.B.C.*",
    "$O.B.M.*",
)
READ = PUBLISH[:3]
ACCOUNT = "$JS.API.INFO"
INBOX, ADVISORIES = "_INBOX_agent.>", "$JS.EVENT.ADVISORY.>"
PASSWORD = "for-tests-only"


def user(name: str, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> dict[str, Any]:
    permissions = {"publish": list(publish), "subscribe": list(subscribe)}
    return {"user": name, "password": PASSWORD, "permissions": permissions}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A user for each subject that can be missing."""
    users = [
        {"user": "admin", "password": PASSWORD},
        user("complete", (*PUBLISH, ACCOUNT), (INBOX, ADVISORIES)),
        user("reader", READ, (INBOX,)),
        user("deaf", PUBLISH, ("_INBOX_other.>",)),
        user("blind", PUBLISH, (INBOX,)),
        *(
            user(f"without{number}", (*(s for s in PUBLISH if s != missing), ACCOUNT), (INBOX, ADVISORIES))
            for number, missing in enumerate(PUBLISH)
        ),
    ]
    with nats_server({"authorization": {"users": users}}, tmp_path_factory.mktemp("nats")) as server:

        async def create() -> None:
            login = Credentials(username="admin", password=PASSWORD)
            async with Connection.open(Server((server.url,), login)) as connection:
                await apply(connection, BucketSettings("B"), check=False)

        asyncio.run(create())
        yield server


def doctor(server: NatsServer, directory: Path, name: str, *options: str) -> Report:
    replica = {
        "url": server.url, "bucket": "B", "username": name, "password": PASSWORD, "inbox-prefix": "_INBOX_agent",
    }  # fmt: skip
    report = Report(configuration(directory, {database(directory / "a.db"): replica}), *options)
    assert PASSWORD not in str(report.findings)
    return report


def stored(server: NatsServer) -> int:
    """Messages that are in any stream."""
    return int(server.monitor("/jsz")["messages"])


def test_with_all_permissions_none_is_missing(guarded: NatsServer, tmp_path: Path) -> None:
    report = doctor(guarded, tmp_path, "complete")
    assert report.code == 0
    assert report.of("problem") == []
    assert report.one("permission")["status"] == "ok"
    assert report.one("round trip")["status"] == "ok"
    assert stored(guarded) == 0


@pytest.mark.parametrize("number", range(len(PUBLISH)), ids=PUBLISH)
def test_the_missing_subject_is_named_and_no_other(guarded: NatsServer, tmp_path: Path, number: int) -> None:
    report = doctor(guarded, tmp_path, f"without{number}")
    found = report.one("permission")
    assert found["detail"].startswith(f"the user may not publish to `{PUBLISH[number]}`: ")
    assert found["hint"]
    # Only other clients ask for single objects by their subject.
    others = PUBLISH[number].endswith("OBJ_B.>")
    assert found["status"] == ("warning" if others else "problem")
    assert report.of("problem") == ([] if others else [found])
    assert report.code == int(not others)
    assert stored(guarded) == 0


def test_a_foreign_inbox_is_named(guarded: NatsServer, tmp_path: Path) -> None:
    report = doctor(guarded, tmp_path, "deaf")
    (problem,) = report.of("problem")
    assert problem["detail"].startswith(f"the user may not subscribe to `{INBOX}`")
    assert "`inbox-prefix`" in problem["hint"]


def test_what_is_only_useful_is_a_warning_or_a_note(guarded: NatsServer, tmp_path: Path) -> None:
    report = doctor(guarded, tmp_path, "blind")
    assert report.code == 0
    (warning,) = report.of("warning", "permission")
    assert warning["detail"].startswith(f"the user may not subscribe to `{ADVISORIES}`")
    assert f"`{ACCOUNT}`" in report.details("note", "room")[0]
    assert doctor(guarded, tmp_path, "blind", "--strict").code == 1


def test_a_user_that_only_restores_is_complete_for_that(guarded: NatsServer, tmp_path: Path) -> None:
    report = doctor(guarded, tmp_path, "reader", "--read-only")
    assert report.code == 0
    assert report.of("problem") == []
    assert report.one("permission")["detail"] == "all 3 subjects that are published to are permitted"
    # And for replication it lacks exactly the rest.
    report = doctor(guarded, tmp_path, "reader")
    named = [found["detail"].split("`")[1] for found in report.of("problem", "permission")]
    assert named == [subject for subject in PUBLISH if subject not in READ]
    assert len(report.of("problem")) == len(named)
    assert stored(guarded) == 0


def test_a_password_that_is_wrong_is_said_to_be(guarded: NatsServer, tmp_path: Path) -> None:
    replica = {"url": guarded.url, "bucket": "B", "username": "agent", "password": "wrong"}
    report = Report(configuration(tmp_path, {database(tmp_path / "a.db"): replica}), code=1)
    assert "refuses the password of user `agent`" in report.details("problem", "server")[0]


def test_a_password_without_encryption_is_a_warning(guarded: NatsServer, tmp_path: Path) -> None:
    (warning,) = doctor(guarded, tmp_path, "complete").of("warning", "tls")
    assert "without encryption" in warning["detail"]


def test_an_account_without_jetstream(tmp_path: Path) -> None:
    with nats_server({"jetstream": False}, tmp_path / "nats") as server:
        config = configuration(tmp_path, {database(tmp_path / "a.db"): {"url": server.url, "bucket": "B"}})
        report = Report(config, code=1)
    assert any("JetStream is not enabled" in found["detail"] + found["hint"] for found in report.of("problem"))
