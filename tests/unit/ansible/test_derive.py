"""What follows from one host's ``litefleet_databases``."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.litefleet.backup.plugins.module_utils import _derive
from hypothesis import given
from hypothesis import strategies as st

APP = {"path": "/var/lib/app/app.db"}


def test_one_path_is_enough() -> None:
    assert _derive.databases([APP]) == [
        {
            "path": "/var/lib/app/app.db",
            "bucket": "app",
            "owner": None,
            "group": None,
            "mode": None,
            "replicas": None,
            "max_bytes": None,
            "options": {},
        }
    ]


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        ("/data/app.db", "app"),
        ("/data/my app.sqlite3", "my-app"),
        ("/data/über.db", "ber"),
        ("/data/archive.2024.db", "archive-2024"),
        ("/data/noending", "noending"),
        ("/data/.hidden", "hidden"),
        ("/data/äöü.db", "database"),
    ],
)
def test_a_bucket_is_named_after_the_file(path: str, bucket: str) -> None:
    assert _derive.databases([{"path": path}])[0]["bucket"] == bucket


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1))
def test_every_file_name_gives_a_bucket_that_nats_accepts(name: str) -> None:
    assert all(char.isascii() and (char.isalnum() or char in "_-") for char in _derive.bucket_of(f"/data/{name}"))
    assert _derive.bucket_of(f"/data/{name}")


def test_two_databases_on_one_bucket_are_refused_with_the_remedy() -> None:
    with pytest.raises(_derive.Wrong, match=r"litefleet_databases\[1\].*both go to the bucket app.*`bucket:`"):
        _derive.databases([{"path": "/a/app.db"}, {"path": "/b/app.db"}])


def test_the_same_path_twice_is_refused_however_it_is_written() -> None:
    with pytest.raises(_derive.Wrong, match="a second time"):
        _derive.databases([{"path": "/a/app.db"}, {"path": "/a//app.db", "bucket": "other"}])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("/data/app.db", "must be a list"),
        ({"path": "/data/app.db"}, "must be a list"),
        (["/data/app.db"], "write `- path: /data/app.db`"),
        ([3], "must be a mapping"),
        ([{}], "`path` must be the absolute path"),
        ([{"path": "app.db"}], "`path` must be the absolute path"),
        ([{**APP, "buckett": "x"}], "unknown key `buckett`; did you mean `bucket`"),
        ([{**APP, "colour": "red"}], "known keys are path, bucket"),
        ([{**APP, "bucket": "a.b"}], "may only hold letters"),
        ([{**APP, "mode": 0o640}], "quoted octal digits"),
        ([{**APP, "mode": "rw"}], "quoted octal digits"),
        ([{**APP, "options": ["sync-interval"]}], "`options` must be a mapping"),
        ([{**APP, "max_bytes": "many"}], "`many` is not a size"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(entries: Any, message: str) -> None:
    with pytest.raises(_derive.Wrong, match=message):
        _derive.buckets(entries, "app1", 3)


@pytest.mark.parametrize("entries", [None, "", []])
def test_no_databases_are_no_error(entries: Any) -> None:
    assert _derive.databases(entries) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("0", 0),
        ("1K", 1000),
        ("1G", 10**9),
        ("1GB", 2**30),
        ("1gib", 2**30),
        ("2Mi", 2**21),
        ("3T", 3 * 10**12),
    ],
)
def test_sizes_are_read_as_the_server_reads_them(text: Any, size: int) -> None:
    assert _derive.size(text) == size


def test_the_agent_may_do_exactly_what_it_needs() -> None:
    permissions = _derive.agent_permissions(["app"])
    assert permissions["publish"]["allow"] == [
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.OBJ_app",
        "$JS.API.DIRECT.GET.OBJ_app",
        "$JS.API.DIRECT.GET.OBJ_app.>",
        "$JS.API.STREAM.PURGE.OBJ_app",
        "$O.app.C.*",
        "$O.app.M.*",
    ]
    assert permissions["subscribe"]["allow"] == ["_INBOX_agent.>", "$JS.EVENT.ADVISORY.>"]


def test_an_agent_without_buckets_may_publish_nothing() -> None:
    assert _derive.agent_permissions([])["publish"] == {"deny": [">"]}


def test_the_provisioner_cannot_read_purge_or_delete() -> None:
    subjects = _derive.provisioner_permissions()["publish"]["allow"]
    assert not [
        subject for subject in subjects if any(word in subject for word in ("GET", "PURGE", "DELETE", "$O", ">"))
    ]


def test_an_account_stores_on_disk_only_and_holds_both_users() -> None:
    account = _derive.account([APP, {"path": "/b.db"}], "UA", "UP", 5)
    assert account["jetstream"] == {"max_mem": 0, "max_file": 5}
    assert [user["nkey"] for user in account["users"]] == ["UA", "UP"]


def test_the_agents_configuration_is_the_guides_schema() -> None:
    entry = {**APP, "options": {"sync-interval": "5s", "busy-timeout": "2s"}}
    config = _derive.agent_config(
        [entry, {"path": "/b.db"}],
        url="nats://n1:4222,nats://n2:4222",
        nkey="/etc/litefleet/agent.nk",
        ca="/etc/litefleet/ca.pem",
        options={"sync-interval": "1s"},
        top={"logging": {"type": "json"}},
    )
    first, second = config["dbs"]
    assert config["logging"] == {"type": "json"}
    assert first["busy-timeout"] == "2s"
    assert first["replica"] == {
        "type": "nats",
        "url": "nats://n1:4222,nats://n2:4222",
        "bucket": "app",
        "nkey": "/etc/litefleet/agent.nk",
        "tls": True,
        "root-cas": ["/etc/litefleet/ca.pem"],
        "inbox-prefix": "_INBOX_agent",
        "sync-interval": "5s",
    }
    assert second["replica"]["sync-interval"] == "1s"


def test_directories_of_databases_are_made_once_and_never_changed() -> None:
    done = _derive.databases([{"path": "/d/a.db", "owner": "app"}, {"path": "/d/b.db"}, {"path": "/e/c.db"}])
    assert _derive.directories(done) == [
        {"path": "/d", "owner": "app", "group": "app", "mode": "0755", "keep": True},
        {"path": "/e", "owner": "root", "group": "root", "mode": "0755", "keep": True},
    ]
