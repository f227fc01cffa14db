"""The base image all hosts of a suite share read-only: built once by mmdebstrap, kept under a key of its recipe."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import sys
from functools import partial
from pathlib import Path

from testhosts.system import IMAGES, HostsError, Unprepared, attempt, checked, locked, mounts_below, run, until

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "python3",
    "python3-venv",
    "openssh-server",
    "sudo",
    "iproute2",
    "ca-certificates",
    "procps",
)
# Units that cannot work in a container, or would make a host busy or `degraded` for nothing.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
)
BUILD_SECONDS = 1800
INIT_PATH = "/usr/lib/testhosts-init"
# nspawn mounts version 1 cgroup controllers read-only; MemoryMax= and TasksMax= of a host's units need them writable.
INIT = """\
#!/bin/sh
for controller in /sys/fs/cgroup/*/; do
    if mountpoint --quiet "$controller"; then mount -o remount,bind,rw "$controller"; fi
done
exec /lib/systemd/systemd "$@"
"""


def path(suite: str = SUITE) -> Path:
    """Where the base image of a suite is, or will be."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", suite):
        raise Unprepared(f"not the name of a Debian suite: {suite!r}")
    recipe = "\n".join([suite, *PACKAGES, *MASKED, INIT])
    return IMAGES / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build(suite: str = SUITE) -> Path:
    """The suite's base image, built if it is not there. One build at a time; an aborted one leaves nothing usable."""
    image = path(suite)
    if image.is_dir():
        return image
    with locked(IMAGES):
        if image.is_dir():
            return image
        for leftover in IMAGES.glob(".building-*"):
            _remove(leftover)
        unfinished = IMAGES / f".building-{image.name}"
        try:
            _bootstrap(suite, unfinished)
            _adapt(unfinished)
            run("sync", "-f", unfinished)
            unfinished.rename(image)
        except BaseException:
            _remove(unfinished)
            raise
    return image


def _bootstrap(suite: str, target: Path) -> None:
    print(f"building the base image of {suite} (about half a minute)", file=sys.stderr)
    # Its processes form a namespace that ends with this process: an aborted build writes no further.
    command = [
        *("setpriv", "--pdeathsig=KILL", "--"),
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=slave", "--"),
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("doc", "man", "locale")),
        f"--include={','.join(PACKAGES)}",
        suite,
        str(target),
    ]
    checked(attempt(command, timeout=BUILD_SECONDS), f"mmdebstrap for {suite}")


def _adapt(root: Path) -> None:
    for unit in MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    init = root / INIT_PATH.lstrip("/")
    init.write_text(INIT)
    init.chmod(0o755)
    (root / "etc/machine-id").write_text("")  # each host makes its own at its first boot
    for stamp in ("etc/.updated", "var/.updated"):  # saves ldconfig and friends at that boot
        (root / stamp).touch()
    (root / "etc/resolv.conf").unlink(missing_ok=True)


def _remove(directory: Path) -> None:
    for point in mounts_below(directory):
        with contextlib.suppress(HostsError):
            run("umount", "--lazy", point)
    until(partial(_removed, directory), 30, f"removal of {directory}")


def _removed(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()
