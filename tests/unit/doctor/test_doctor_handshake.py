"""Whatever answers in a server's place ends in an error that can be told, within bounds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from litefleet.config.settings import TLS, Server
from litefleet.doctor.handshake import Greeting, greet


@contextmanager
def stranger(*pieces: bytes) -> Iterator[str]:
    """Somebody who says the pieces to whoever calls, and keeps the line open until the caller hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            link, _ = listener.accept()
            with link:
                for piece in pieces:
                    link.sendall(piece)
                try:
                    while link.recv(1000):
                        pass
                except ConnectionError:
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"nats://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(30)


@pytest.mark.parametrize(
    "line",
    [
        b"220 mail.example ESMTP\r\n",
        b"\n",
        b"INFO\r\n",
        b"INFO {\r\n",
        b"INFO []\r\n",
        b"INFO \xff\xfe\r\n",
        b"INFO " + b"[" * 60_000 + b"\r\n",
        b"INFO " + b"x" * 70_000,
    ],
    ids=lambda line: line[:12].decode("latin-1"),
)
def test_what_is_no_nats_server(line: bytes) -> None:
    with stranger(line) as url, pytest.raises(ValueError, match="not a NATS server"):
        greet(Server((url,)), url)


def test_nobody_listens() -> None:
    with pytest.raises(ConnectionRefusedError):
        greet(Server(("nats://127.0.0.1:1",)), "nats://127.0.0.1:1")


def test_a_server_without_tls_is_left_alone() -> None:
    with stranger(b'INFO {"version":"2.15.1"}\r\n') as url:
        assert greet(Server((url,), tls=TLS()), url) == Greeting()


def test_a_server_that_says_tls_and_does_not_do_it() -> None:
    with stranger(b'INFO {"tls_required":true}\r\n', b"no handshake at all\r\n") as url, pytest.raises(OSError):
        greet(Server((url,), timeout=2), url)
