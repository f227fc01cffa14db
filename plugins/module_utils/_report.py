"""Rows of the fleet's status, from what hosts answered. For this collection's own plugins only.

Every row has ``status`` (``ok`` or what is wrong in a word) and ``problem`` (a sentence, empty if ok).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Answers = Mapping[str, Mapping[str, Any]]


def human(size: float) -> str:
    """A size for people: 10.0 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _answer(hostvars: Answers, host: str, name: str) -> Mapping[str, Any] | None:
    found = hostvars[host].get(name)
    if not isinstance(found, Mapping) or found.get("unreachable") or found.get("failed"):
        return None
    return found


def server_rows(hosts: Iterable[str], hostvars: Answers) -> list[dict[str, Any]]:
    """One row per NATS server."""
    rows = []
    for host in hosts:
        found = _answer(hostvars, host, "status_playbook_server")
        if found is None:
            rows.append({"server": host, "status": "unreachable", "problem": f"{host}: no connection to the host"})
            continue
        rows.append(
            {
                "server": host,
                "status": "ok" if found["healthy"] else "unhealthy",
                "problem": "" if found["healthy"] else f"{host}: {found['problem']}",
                "version": found["version"],
                "clients": found["connections"],
                "store": f"{human(found['store_used'])} of {human(found['store_limit'])}",
                "certificate": found["certificate_ends"][:10],
            }
        )
    return rows


def database_rows(hosts: Iterable[str], hostvars: Answers) -> list[dict[str, Any]]:
    """One row per database; one per host where there is no telling."""
    rows: list[dict[str, Any]] = []
    for host in hosts:
        found = _answer(hostvars, host, "status_playbook_agent")
        if found is None:
            rows.append({"host": host, "status": "unreachable", "problem": f"{host}: no connection to the host"})
            continue
        if found["unit"] != "active":
            text = f"litefleet.service is {found['unit']}"
            rows.append({"host": host, "status": "agent down", "detail": text, "problem": f"{host}: {text}"})
        if found["problem"]:
            text = found["problem"]
            rows.append({"host": host, "status": "unknown", "detail": text, "problem": f"{host}: {text}"})
        rows += [_database_row(host, row) for row in found["databases"]]
    return rows


def _database_row(host: str, row: Mapping[str, Any]) -> dict[str, Any]:
    detail = row.get("detail") or ""
    status = row["status"]
    return {
        "host": host,
        "database": row["database"],
        "status": status,
        "txid": row.get("txid"),
        "time": row.get("time"),
        "lag": None if row.get("lag") is None else f"{row['lag']:.1f} s",
        "detail": detail,
        "problem": "" if status == "ok" else f"{host}: {row['database']} is {status}{': ' if detail else ''}{detail}",
    }
