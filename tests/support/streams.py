"""What somebody else does to a bucket: through JetStream, or to the server's files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError


def on_jetstream(url: str, work: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
    """Let a client of its own do something."""

    async def run() -> Any:
        client = await nats.connect(url)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def delete_bucket(url: str, bucket: str) -> None:
    on_jetstream(url, lambda js: js.delete_stream(f"OBJ_{bucket}"))


def purge(url: str, bucket: str, subject: str | None = None) -> None:
    """Everything, or what is under one subject."""
    on_jetstream(url, lambda js: js.purge_stream(f"OBJ_{bucket}", subject=subject))


def set_max_bytes(url: str, bucket: str, count: int) -> None:
    async def change(js: JetStreamContext) -> None:
        config = (await js.stream_info(f"OBJ_{bucket}")).config
        await js.update_stream(config, max_bytes=count)

    on_jetstream(url, change)


def messages(url: str, bucket: str) -> int:
    """How many the stream holds."""

    async def count(js: JetStreamContext) -> int:
        return (await js.stream_info(f"OBJ_{bucket}")).state.messages

    return int(on_jetstream(url, count))


def roll_up(url: str, bucket: str) -> None:
    """One message that takes the place of everything."""
    on_jetstream(url, lambda js: js.publish(f"$O.{bucket}.M.eA==", b"{}", headers={"Nats-Rollup": "all"}))


def newest_objects(url: str, bucket: str, count: int) -> list[str]:
    """The subjects of the metadata that was stored last, newest first."""

    async def find(js: JetStreamContext) -> list[str]:
        found: list[str] = []
        sequence = (await js.stream_info(f"OBJ_{bucket}")).state.last_seq
        while sequence and len(found) < count:
            with suppress(NotFoundError):
                subject = str((await js.get_msg(f"OBJ_{bucket}", sequence)).subject)
                if subject.startswith(f"$O.{bucket}.M."):
                    found.append(subject)
            sequence -= 1
        return found

    answer: list[str] = on_jetstream(url, find)
    return answer
