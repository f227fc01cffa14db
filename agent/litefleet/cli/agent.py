"""Talk to the agent that runs on this host, over its control socket."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

from litefleet.cli.common import add_config, load_config, option
from litefleet.config import DEFAULT_SOCKET
from litefleet.config.values import parse_duration
from litefleet.errors import AgentUnreachable, ConfigError, LitefleetError

_START = "start it, for example with `systemctl start litefleet`, or name its socket with --socket"
#: Seconds for an answer, beyond what was asked to be waited for.
_PATIENCE = 30.0


def add_socket(parser: argparse.ArgumentParser) -> None:
    """``--socket``, ``--config`` and ``--no-expand-env``."""
    option(
        parser, "socket", type=Path, metavar="PATH",
        help=f"the agent's control socket (default: the configuration's, else {DEFAULT_SOCKET})",
    )  # fmt: skip
    add_config(parser)


def add_timeout(parser: argparse.ArgumentParser, default: float, text: str) -> None:
    """``--timeout``, in seconds or as the configuration file has times."""
    option(parser, "timeout", type=_seconds, default=default, metavar="TIME", help=f"{text} (default: {default:g}s)")


def socket_path(options: argparse.Namespace) -> Path:
    """Where the agent's socket should be. Raises ConfigError for a configuration file that was named."""
    if options.socket is not None:
        return Path(options.socket)
    try:
        return load_config(options).socket.path or DEFAULT_SOCKET
    except ConfigError:
        # The file may be for the agent's user only, or not there at all: neither is needed to talk to an agent.
        if options.config is not None:
            raise
        return DEFAULT_SOCKET


def database_path(target: str) -> str:
    """A database's path as the agent has it."""
    return os.path.abspath(Path(target).expanduser())  # noqa: PTH100 - symbolic links are not followed


async def ask(
    socket: Path, method: str, path: str, body: dict[str, Any] | None = None, *, wait: float = 0.0
) -> dict[str, Any]:
    """The agent's answer, waited for ``wait`` seconds longer than usual.

    Raises AgentUnreachable if there is none, else the agent's own error with its exit code.
    """
    content = json.dumps(body or {}).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: litefleet\r\nContent-Length: {len(content)}\r\n\r\n"
    try:
        async with asyncio.timeout(_PATIENCE + wait):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(head.encode() + content)
                answer = await reader.read()
            finally:
                writer.transport.abort()
    except (FileNotFoundError, ConnectionRefusedError):
        raise AgentUnreachable(f"No agent listens on {socket}", hint=_START) from None
    except PermissionError:
        raise AgentUnreachable(f"{socket}: not permitted", hint="try again with sudo") from None
    except TimeoutError:
        raise AgentUnreachable(f"The agent on {socket} does not answer", hint="its log may say why") from None
    except OSError as error:
        raise AgentUnreachable(f"{socket}: {error.strerror or error}", hint=_START) from None
    return _content(socket, answer)


def _content(socket: Path, answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", head)
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if status is None or not isinstance(content, dict):
        raise AgentUnreachable(f"What listens on {socket} does not answer as an agent", hint=_START)
    if status[1] != b"200":
        raise _error(content)
    return content


def _error(content: dict[str, Any]) -> LitefleetError:
    error = LitefleetError(str(content.get("error")), hint=str(content.get("hint", "")))
    error.exit_code = int(content.get("exit_code", LitefleetError.exit_code))
    return error


def _seconds(text: str) -> float:
    if re.fullmatch("[0-9]{1,4}", text):
        return float(text)
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None
