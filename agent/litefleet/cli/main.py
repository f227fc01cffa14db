"""``litefleet COMMAND``: parse, run, and turn every error into one line and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import NoReturn

from litefleet.cli import (
    add,
    check_config,
    clean,
    databases,
    doctor,
    history,
    ltx,
    reload,
    remove,
    replicate,
    restore,
    retention,
    status,
    sync,
    version,
)
from litefleet.errors import LitefleetError, UsageError

_COMMANDS = (
    replicate, restore, history, ltx, status, sync, add, remove, reload, databases, check_config, retention, clean,
    doctor, version,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the result is the process's exit code."""
    try:
        options = _parser().parse_args(arguments)
        result = options.run(options)
        code = asyncio.run(result) if asyncio.iscoroutine(result) else result
        sys.stdout.flush()
    except LitefleetError as error:
        print(f"litefleet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("litefleet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough; nothing is to be said to a closed pipe at exit either.
        sys.stdout = None
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"litefleet: {where}{error.strerror or error}; see to that and try again", file=sys.stderr)
        # What could not be written is not to be tried once more at exit.
        sys.stdout = None
        return 1
    return int(code)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`{self.prog} --help` shows how it is used")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="litefleet", description="Keeps SQLite databases restorable from NATS JetStream.", allow_abbrev=False
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        text = (module.__doc__ or "").strip()
        command = commands.add_parser(
            name, help=text.partition("\n")[0].rstrip("."), description=text, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
