"""Everything that reads bytes that somebody else may have written."""

from __future__ import annotations

from tests.fuzz import buckets, configuration, ltx, replies, spool, wal
from tests.fuzz.target import MIB, Target

_ALL = (
    Target("ltx-header", ltx.header, 128),
    Target("ltx-file", ltx.file, 64 * 1024),
    Target("ltx-pages", ltx.pages, 64 * 1024),
    Target("ltx-merge", ltx.merge, 64 * 1024),
    Target("wal-frame", wal.frame, 64),
    Target("wal-frames", wal.frames, 32 * 1024),
    Target("wal-index", wal.index, 256),
    Target("config", configuration.settings, 1024, memory=32 * MIB, share=0.4),
    Target("config-environment", configuration.environment, 512),
    Target("config-urls", configuration.urls, 512),
    Target("config-values", configuration.values, 256),
    Target("creds", configuration.creds, 2048),
    Target("nkey", configuration.nkey, 256),
    Target("nats-time", replies.time, 64),
    Target("nats-metadata", replies.metadata, 2048),
    Target("nats-answer", replies.answer, 4096),
    Target("nats-batch", replies.batch, 4096),
    Target("bucket-name", buckets.name, 64),
    Target("bucket-timestamp", buckets.timestamp, 64),
    Target("bucket-lease", buckets.lease, 1024),
    Target("bucket-plan", buckets.plan, 512),
    Target("bucket-retention", buckets.retention, 256),
    Target("spool", spool.load, 4096, share=0.2),
)
TARGETS = {target.name: target for target in _ALL}
