"""The newest message of many subjects at once, from a server that is known to be up to date."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from litefleet.errors import RequestFailed
from litefleet.nats.batch import Batch, BatchEnd, Stored
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names

#: Subjects in one request (a server refuses more than 1024), and bytes of messages in one answer.
MOST_SUBJECTS, ANSWER_BYTES = 1000, 1 << 20


class Lagging(RequestFailed):
    """The replica that answered has not caught up with the leader."""


async def newest(connection: Connection, names: Names, subjects: Sequence[str], *, at_least: int) -> dict[str, Stored]:
    """The newest message of each subject, as a server sees it that has all up to stream sequence ``at_least``.

    Subjects without a message are left out. Raises ``Lagging``, or what a request raises.
    """
    found: dict[str, Stored] = {}
    # The subjects of a request travel in its body.
    for page in _pages(subjects, connection.max_payload // 2):
        waiting = list(page)
        while waiting:
            stored, end = await _ask(connection, names, waiting)
            if end.up_to < at_least or (end.pending and not stored):
                raise Lagging(
                    f"A replica of bucket `{names.bucket}` on {connection.connected_url} lags behind its leader",
                    hint="try again when /healthz of every server is 200",
                )
            found.update((message.subject, message) for message in stored)
            waiting = [subject for subject in waiting if subject not in found] if end.pending else []
    return found


async def _ask(connection: Connection, names: Names, subjects: Sequence[str]) -> tuple[list[Stored], BatchEnd]:
    body = {"multi_last": subjects, "max_bytes": ANSWER_BYTES}
    held = await connection.read_budget.take(ANSWER_BYTES)
    try:
        exchange = await connection.send(names.direct_get, json.dumps(body).encode())
    except BaseException:
        connection.read_budget.give(held)
        raise
    with Batch(exchange, connection, held) as batch:
        stored = await batch.rest()
        assert batch.end is not None
        return stored, batch.end


def _pages(subjects: Sequence[str], most_bytes: int) -> Iterator[list[str]]:
    page: list[str] = []
    size = 0
    for subject in subjects:
        # Quotes, a comma and a blank.
        cost = len(subject) + 4
        if page and (len(page) == MOST_SUBJECTS or size + cost > most_bytes):
            yield page
            page, size = [], 0
        page.append(subject)
        size += cost
    if page:
        yield page
