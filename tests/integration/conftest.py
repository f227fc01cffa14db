"""What tests against a real nats-server share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from litefleet.config.settings import Server
from litefleet.nats.objects import ObjectStore
from tests.support.buckets import bucket_store
from tests.support.natsserver import NatsServer, nats_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server that lets everybody in."""
    with nats_server(store_dir=tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def store(server: NatsServer) -> AsyncIterator[ObjectStore]:
    """Bucket ``B`` of ``server``, empty."""
    async with bucket_store(Server((server.url,))) as made:
        yield made
