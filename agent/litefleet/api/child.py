"""``python -m litefleet.api.child PARENT CONFIG …``: the agent that ends with the program it belongs to.

The program's end is seen on a descriptor of its process. A pipe would be held open by whatever the program has forked,
and the kernel's signal at a parent's death comes when the *thread* ends that started the child.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import threading
from pathlib import Path

from litefleet.cli.main import main


def run(parent: int, config: Path, *options: str) -> int:
    """Replicate until SIGTERM, or until the process ``parent`` ends; the exit code."""
    handle = os.pidfd_open(parent)
    if os.getppid() == parent:
        threading.Thread(target=_end_after, args=(handle,), daemon=True).start()
        code = main(["replicate", "--config", str(config), "--no-expand-env", *options])
        if os.getppid() == parent:
            return code
    # Nobody else removes it then.
    shutil.rmtree(config.parent, ignore_errors=True)
    return 0


def _end_after(handle: int) -> None:
    """Wait for the end of a process, then ask this one to send the last transactions and end."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll()
    # Nobody reads what is logged from here on, and a pipe without a reader is an error.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(run(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
