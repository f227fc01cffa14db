"""What to begin with: inputs that the real programs made, in the form that each target takes them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import nats
import nkeys
from nats.js import api

from litefleet.bucket.lease import Lease
from litefleet.ltx import encode
from tests.fuzz import forms, spool
from tests.support.natsserver import NatsServer, nats_server
from tests.support.operator import Operator
from tests.support.running import BIN, make_bucket
from tests.support.sqlitewriter import Writer
from tests.unit.ltx.samples import old_frame, small

#: Of a server's reply: the sizes of headers and of everything, if it has headers; else the size.
_MESSAGE = re.compile(rb"H?MSG \S+ \d+ (?:(\d+) )?(\d+)\r\n")
_ROWS = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) INSERT INTO t SELECT i, hex(i * {}) FROM n"


def seeds() -> dict[str, list[bytes]]:
    """For each target; takes some seconds."""
    with tempfile.TemporaryDirectory(prefix="seeds-") as name:
        directory = Path(name)
        wal, index, files = _sqlite(directory)
        batches, answers, bodies = _server(directory / "nats", files[0])
    header, pages = small()
    ours = b"".join(encode(header, pages))
    old = b"".join(head + body for head, body, _ in (old_frame(*page) for page in pages))
    frames = [file[100:] for file in (ours, *files)]
    creds = Operator().creds()[0].encode()
    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)
    account = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_ACCOUNT)
    texts = {name: [text.encode() for text in found] for name, found in _TEXTS.items()}
    return texts | {
        "ltx-header": [ours[:100], *(file[:100] for file in files)],
        "ltx-file": [struct.pack(">H", step) + file for step in (0, 1000, 65535) for file in (ours, *files)],
        # Step, kind of first TXID, page size, pages, TXIDs more.
        "ltx-pages": [bytes((1, 0, first, 0, 3, 0)) + frame for first in (0, 1) for frame in (*frames, old)],
        "ltx-merge": [_merged(frames[:2]), _merged([frames[0], old, *frames])],
        "wal-frame": [wal[32:56]],
        # Page size, first frame, one behind the last (2 bytes), limit (2 bytes).
        "wal-frames": [bytes((0, at, 0, stop, 0, limit)) + wal for at, stop, limit in _ranges(wal)],
        "wal-index": [b"\0" + index, b"\1" + index],
        "creds": [creds, creds.replace(b"\n", b"\r\n"), seed],
        "nkey": [seed, b" " + seed + b"\n", account, seed[:-1] + b"A", b"U" + seed[2:]],
        "nats-metadata": bodies,
        "nats-answer": answers,
        "nats-batch": batches,
        "spool": [spool.left()],
        "bucket-lease": [
            Lease("/a.db", "host", "app", "app", 0o640, "run", 1e9).header().encode(),
            b'{"since": 1e999}',
        ],
        # TXID, second, then files: level, first TXID, more, minute.
        "bucket-plan": [bytes((6, 90)) + _listing(level) for level in (0, 1, 9)],
        # Kind of listing, minute, then a level 0 file by a byte.
        "bucket-retention": [bytes((1, minute, *range(step, 240, step))) for minute in (60, 200) for step in (15, 17)],
    }


_TEXTS = {
    "config": forms.CONFIGURATIONS,
    "config-environment": forms.VARIABLES,
    "config-urls": forms.URLS,
    "config-values": forms.VALUES,
    "nats-time": forms.TIMES,
    "bucket-name": forms.OBJECT_NAMES,
    "bucket-timestamp": forms.TIMES,
}


def _sqlite(directory: Path) -> tuple[bytes, bytes, list[bytes]]:
    """A WAL and its index as SQLite writes them, and the LTX files that Litestream makes of a database."""
    path = directory / "app.db"
    with Writer(path, page_size=512) as app:
        app.run("CREATE TABLE t (n, b)")
        for step in range(3):
            app.run(_ROWS.format(8, step))
        app.run("DELETE FROM t WHERE n % 2 = 0")
        wal, index = Path(f"{path}-wal").read_bytes(), Path(f"{path}-shm").read_bytes()[:136]
    config = directory / "litestream.yml"
    config.write_text(f"dbs: [{{path: {path}, replica: {{type: file, path: {directory}/copy}}}}]\n")
    for step in range(2):
        with Writer(path, wal=False) as app:
            app.run(_ROWS.format(2, step))
        command: list[str | Path] = [BIN / "litestream", "replicate", "-config", config, "-once"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    return wal, index, [file.read_bytes() for file in sorted(directory.glob("copy/ltx/0/*.ltx"))]


def _server(directory: Path, file: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Batches of direct gets, answers in JSON and bodies of metadata, as nats-server sends them."""
    with nats_server(store_dir=directory) as server:
        make_bucket(server.url, "B")
        asyncio.run(_store(server.url, file))
        answers = [reply for _, reply in _ask(server, "$O.B.C.other", b"chunk")]
        for verb, payload in (
            ("INFO.OBJ_B", b""),
            ("INFO.OBJ_B", b'{"subjects_filter": ">"}'),
            ("INFO.OBJ_MISSING", b""),
            ("PURGE.OBJ_B", b'{"filter": "none"}'),
            ("CREATE.OBJ_B", b'{"name": "OBJ_B", "subjects": ["x"]}'),
            ("UPDATE.OBJ_B", b"{}"),
        ):
            answers += [reply for _, reply in _ask(server, f"$JS.API.STREAM.{verb}", payload)]
        described = _ask(server, "$JS.API.DIRECT.GET.OBJ_B", b'{"seq": 1, "batch": 10, "next_by_subj": "$O.B.M.>"}')
        batches = [described]
        for stream, payload in (
            ("OBJ_B", b'{"seq": 1, "batch": 10, "next_by_subj": "$O.B.>"}'),
            ("OBJ_B", b'{"seq": 99, "batch": 10, "next_by_subj": "$O.B.>"}'),
            ("OBJ_B", b'{"last_by_subj": "$O.B.M.>"}'),
            ("OBJ_B", b"[]"),
            ("OBJ_MISSING", b"{}"),
        ):
            batches.append(_ask(server, f"$JS.API.DIRECT.GET.{stream}", payload))
    bodies = [body for _, body in described if body]
    return [b"".join(_framed(*one) for one in found) for found in batches], answers, bodies


async def _store(url: str, file: bytes) -> None:
    """Objects of another client, one of them deleted, and one with our headers."""
    client = await nats.connect(url)
    try:
        store = await client.jetstream().object_store("B")
        headers = {"Litestream-Timestamp": forms.TIMES[0], "Litefleet-Full": "1"}
        await store.put(forms.OBJECT_NAMES[0], file, api.ObjectMeta(headers=headers))
        await store.put("x", b"")
        await store.delete("x")
    finally:
        await client.close()


def _ask(server: NatsServer, subject: str, payload: bytes) -> list[tuple[bytes, bytes]]:
    """The raw headers and payloads of a request's replies: those of a batch up to its end, else one."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as link:
        link.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB fuzz.* 1\r\n'
            + f"PUB {subject} fuzz.1 {len(payload)}\r\n".encode()
            + payload
            + b"\r\n"
        )
        found: list[tuple[bytes, bytes]] = []
        for head, body in _messages(link):
            found.append((head, body))
            if not head or b"Nats-Num-Pending" not in head or head.startswith(b"NATS/1.0 "):
                break
    return found


def _messages(link: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    data = b""
    while True:
        while (start := _MESSAGE.search(data)) is None or len(data) < start.end() + int(start[2]) + 2:
            received = link.recv(1 << 16)
            assert received, data
            data += received
        head, end = int(start[1] or 0), start.end() + int(start[2])
        yield data[start.end() : start.end() + head], data[start.end() + head : end]
        data = data[end + 2 :]


def _framed(head: bytes, payload: bytes) -> bytes:
    return struct.pack(">H", len(head)) + head + struct.pack(">H", len(payload)) + payload


def _merged(frames: list[bytes]) -> bytes:
    """Step, number of files, first TXID, then for each: page size, pages, TXIDs more, and its frames."""
    out = bytes((1, 0, len(frames) - 1, 1))
    for frame in frames:
        out += bytes((0, 9, 0)) + struct.pack(">H", len(frame)) + frame
    return out


def _ranges(wal: bytes) -> Iterator[tuple[int, int, int]]:
    """Ranges of a WAL with pages of 512 bytes that end with a transaction."""
    for index, at in enumerate(range(32, len(wal) - 535, 536), 1):
        if struct.unpack_from(">I", wal, at + 4)[0]:
            yield from ((0, index, 0), (0, index, 1))


def _listing(level: int) -> bytes:
    files = [bytes((0, txid, 0, txid)) for txid in range(1, 13)]
    return b"".join([*files, bytes((level, 1, 7, 8)), bytes((level, 9, 3, 12))])
