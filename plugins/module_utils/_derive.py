"""Everything that follows from one host's ``litefleet_databases``. For this collection's own plugins only.

Bucket, account, permissions and the agent's configuration are derived here and nowhere else.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Users of a host's account; also the last part of the names of their seeds.
AGENT = "agent"
PROVISIONER = "provisioner"

_KEYS = ("path", "bucket", "owner", "group", "mode", "replicas", "max_bytes", "options")
_BUCKET = re.compile(r"[A-Za-z0-9_-]+")


class Wrong(ValueError):
    """``litefleet_databases`` cannot be used; the message says which entry and what to write instead."""


def bucket_of(path: str) -> str:
    """The bucket that a database gets when none is named: its file name without the ending."""
    stem = posixpath.basename(path).rsplit(".", 1)[0] or posixpath.basename(path)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "database"


def inbox(user: str) -> str:
    """The subject prefix under which a user receives replies; no other user may subscribe to it."""
    return f"_INBOX_{user}"


def _checked(entry: Any, where: str) -> dict[str, Any]:
    if isinstance(entry, str):
        raise Wrong(f"{where} is a text; write `- path: {entry}`")
    if not isinstance(entry, Mapping):
        raise Wrong(f"{where} must be a mapping with at least `path`")
    for key in entry:
        if key not in _KEYS:
            close = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"known keys are {', '.join(_KEYS)}"
            raise Wrong(f"{where} has the unknown key `{key}`; {hint}")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise Wrong(f"{where}: `path` must be the absolute path of a database, as in `path: /var/lib/app/app.db`")
    bucket = entry.get("bucket") or bucket_of(path)
    if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
        raise Wrong(f"{where}: `bucket: {bucket}` may only hold letters, digits, `_` and `-`")
    mode = entry.get("mode")
    if mode is not None and not (isinstance(mode, str) and re.fullmatch(r"0?[0-7]{3}", mode)):
        raise Wrong(f'{where}: `mode` must be quoted octal digits, as in `mode: "0640"`')
    if not isinstance(entry.get("options") or {}, Mapping):
        raise Wrong(f"{where}: `options` must be a mapping, as in `options: {{sync-interval: 1s}}`")
    return {
        "path": posixpath.normpath(path),
        "bucket": bucket,
        "owner": entry.get("owner"),
        "group": entry.get("group"),
        "mode": mode,
        "replicas": entry.get("replicas"),
        "max_bytes": entry.get("max_bytes"),
        "options": dict(entry.get("options") or {}),
    }


def databases(entries: Any) -> list[dict[str, Any]]:
    """``litefleet_databases`` with every key filled in; raises Wrong."""
    if entries is None or entries == "":
        return []
    if isinstance(entries, (str, bytes, Mapping)) or not isinstance(entries, Sequence):
        raise Wrong("litefleet_databases must be a list, as in `litefleet_databases: [{path: /var/lib/app/app.db}]`")
    done: list[dict[str, Any]] = []
    for number, entry in enumerate(entries):
        where = f"litefleet_databases[{number}]"
        one = _checked(entry, where)
        for other in done:
            if other["path"] == one["path"]:
                raise Wrong(f"{where} names {one['path']} a second time; remove one of the entries")
            if other["bucket"] == one["bucket"]:
                raise Wrong(
                    f"{where}: {one['path']} and {other['path']} would both go to the bucket {one['bucket']}; "
                    "give one of them a `bucket:` of its own"
                )
        done.append(one)
    return done


def buckets(entries: Any, host: str, replicas: int) -> list[dict[str, Any]]:
    """The settings of every bucket of a host; raises Wrong."""
    return [
        {
            "name": database["bucket"],
            "replicas": int(database["replicas"] or replicas),
            "max_bytes": -1 if database["max_bytes"] is None else size(database["max_bytes"]),
            "description": f"{host}:{database['path']}",
        }
        for database in databases(entries)
    ]


def size(value: Any) -> int:
    """A size as nats.conf reads it, in bytes: 1G is 10^9, 1GB and 1GiB are 2^30; raises Wrong."""
    match = re.fullmatch(r"(\d+)\s*(?:([KMGT])(i?B|i)?)?", str(value).strip(), re.IGNORECASE)
    if not match or isinstance(value, bool):
        raise Wrong(f"`{value}` is not a size; write bytes, or digits and a unit as in 10G or 10GiB")
    digits, unit, binary = match.groups()
    factor: int = (1024 if binary else 1000) ** " KMGT".index((unit or " ").upper())
    return int(digits) * factor


def directories(done: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The directories of complete entries, for the module ``files``: made if missing, else left alone."""
    found: dict[str, dict[str, Any]] = {}
    for database in done:
        path = posixpath.dirname(database["path"])
        owner = database["owner"] or "root"
        group = database["group"] or owner
        found.setdefault(path, {"path": path, "owner": owner, "group": group, "mode": "0755", "keep": True})
    return list(found.values())


def owners(done: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Path, owner, group and mode of complete entries, for the module ``restore``."""
    return [{key: database[key] for key in ("path", "owner", "group", "mode")} for database in done]


def agent_permissions(buckets: Sequence[str]) -> dict[str, Any]:
    """What the agent's user may do: read, write and purge objects of its buckets; no consumers, no management.

    Beside that it may learn how much room the account has, and what happens to the account's streams: a bucket that is
    emptied or made anew is noticed at once.
    """
    publish: list[str] = ["$JS.API.INFO"] if buckets else []
    for bucket in buckets:
        publish += [
            f"$JS.API.STREAM.INFO.OBJ_{bucket}",
            f"$JS.API.DIRECT.GET.OBJ_{bucket}",
            f"$JS.API.DIRECT.GET.OBJ_{bucket}.>",
            f"$JS.API.STREAM.PURGE.OBJ_{bucket}",
            f"$O.{bucket}.C.*",
            f"$O.{bucket}.M.*",
        ]
    # An empty allow list would allow everything.
    return {
        "publish": {"allow": publish} if publish else {"deny": [">"]},
        "subscribe": {"allow": [f"{inbox(AGENT)}.>", "$JS.EVENT.ADVISORY.>"]},
    }


def provisioner_permissions() -> dict[str, Any]:
    """What the provisioner's user may do: make and change streams of its account; it cannot read, purge or delete."""
    operations = ("NAMES", "LIST", "INFO.*", "CREATE.*", "UPDATE.*")
    return {
        "publish": {"allow": ["$JS.API.INFO", *(f"$JS.API.STREAM.{operation}" for operation in operations)]},
        "subscribe": {"allow": [f"{inbox(PROVISIONER)}.>"]},
    }


def account(entries: Any, agent_key: str, provisioner_key: str, max_file: int | None = None) -> dict[str, Any]:
    """One host's account in the server's configuration; raises Wrong."""
    buckets = [database["bucket"] for database in databases(entries)]
    # No limit on streams: the bucket of an entry that is gone stays, and would keep out that of a new one.
    jetstream: dict[str, Any] = {"max_mem": 0}
    if max_file is not None:
        jetstream["max_file"] = max_file
    return {
        "jetstream": jetstream,
        "users": [
            {"nkey": agent_key, "permissions": agent_permissions(buckets)},
            {"nkey": provisioner_key, "permissions": provisioner_permissions()},
        ],
    }


def agent_config(
    entries: Any, *, url: str, nkey: str, ca: str, options: Mapping[str, Any], top: Mapping[str, Any]
) -> dict[str, Any]:
    """The agent's configuration file; ``options`` are for every replica, ``top`` for the top level; raises Wrong."""
    replica_keys = ("sync-interval", "max-reconnects", "reconnect-wait", "timeout")
    dbs: list[dict[str, Any]] = []
    for database in databases(entries):
        replica: dict[str, Any] = {
            "type": "nats",
            "url": url,
            "bucket": database["bucket"],
            "nkey": nkey,
            "tls": True,
            "root-cas": [ca],
            "inbox-prefix": inbox(AGENT),
        }
        entry: dict[str, Any] = {"path": database["path"]}
        for key, value in {**options, **database["options"]}.items():
            (replica if key in replica_keys else entry)[key] = value
        dbs.append({**entry, "replica": replica})
    return {**top, "dbs": dbs}
