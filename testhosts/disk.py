"""A host's own disk: a sparse ext4 image on a loop device, with an overlayfs layer on the shared base image."""

from __future__ import annotations

import contextlib
import fcntl
import os
from functools import partial
from pathlib import Path

from testhosts.system import HostsError, mounts_below, run, until

_EXT4_SHUTDOWN = 0x8004587D
_NO_FLUSH = 2


class Disk:
    """One disk image and where it is mounted: ``state/disk`` (the ext4) and ``root`` (what the host sees)."""

    def __init__(self, image: Path, state: Path, base: Path) -> None:
        self.image = image
        self.root = state / "root"
        self._base = base
        self._own = state / "disk"

    def create(self, megabytes: int) -> None:
        """An empty disk of this size; the file is sparse."""
        self.image.parent.mkdir(parents=True, exist_ok=True)
        new = self.image.with_suffix(".new")
        new.unlink(missing_ok=True)
        options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"  # a fresh sparse file is zero already
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, new, f"{megabytes}M")
        new.replace(self.image)

    def mount(self) -> None:
        """Mount, replaying the journal after a power loss."""
        self.unmount()
        for directory in (self._own, self.root):
            directory.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "ext4", "-o", "loop,noatime,noinit_itable", self.image, self._own)
        upper, work = self._own / "upper", self._own / "work"
        for directory in (upper, work):
            directory.mkdir(exist_ok=True)
        layers = f"lowerdir={self._base},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", layers, "overlay", self.root)

    def sync(self) -> None:
        """Everything written so far is on the disk."""
        run("sync", "-f", self._own)

    def lose_power(self) -> None:
        """From now on nothing more reaches the image: what was not written back yet is lost, torn or whole."""
        if self._own not in mounts_below(self._own):
            return
        fd = os.open(self._own, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _EXT4_SHUTDOWN, _NO_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Unmount what is mounted. The loop device goes with its mount."""
        for mounted in [*mounts_below(self.root), *mounts_below(self._own)]:
            until(partial(_unmounted, mounted), 10, f"{mounted} is still in use: unmounting it")
        self._leave_loop_device()

    def _leave_loop_device(self) -> None:
        """Go on with a copy of the image where another mount namespace still holds the old mount.

        Mounting the same file again would bring the old mount back, after a power loss a dead one.
        """
        try:
            until(lambda: not self._attached(), 1, "detaching")
        except HostsError:
            copy = self.image.with_suffix(".copy")
            run("cp", "--sparse=always", self.image, copy)
            copy.replace(self.image)

    def _attached(self) -> bool:
        for device in Path("/sys/block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):
                if device.read_text().strip() == str(self.image):
                    return True
        return False


def _unmounted(point: Path) -> bool:
    try:
        run("umount", point)
    except HostsError as error:
        if "busy" not in str(error) and point in mounts_below(point):
            raise
    return point not in mounts_below(point)
