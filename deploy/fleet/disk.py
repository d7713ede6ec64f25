"""A machine's disk: a file system of its own in a sparse file, so that it can be full while the computer's is not."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.fleet.base import MachineError
from deploy.fleet.network import do

SIZE = 20 * 2**30  # bytes; the file takes only what is written
LOOP_GET_FREE, LOOP_MAJOR = 0x4C82, 7  # <linux/loop.h>, <linux/major.h>


@dataclass(frozen=True)
class Disk:
    """`<folder>/disk.img`, mounted at `<folder>/disk`; the machine's root, an overlay on it, at `<folder>/root`."""

    folder: Path

    @property
    def mounted(self) -> Path:
        return self.folder / "disk"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def filler(self) -> Path:
        return self.mounted / "filler"  # beside what the machine sees of its disk

    def mount(self, lower: str) -> None:
        """Mount disk and root, where they are not."""
        self._mount_disk()
        self.root.mkdir(exist_ok=True)
        if not self.root.is_mount():
            upper, work = self.mounted / "upper", self.mounted / "work"
            for path in (upper, work):
                path.mkdir(exist_ok=True)
            layers = f"lowerdir={':'.join([*map(str, self.layers()), lower])},upperdir={upper},workdir={work}"
            do("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))

    def _mount_disk(self) -> None:
        self.mounted.mkdir(parents=True, exist_ok=True)
        if not self.mounted.is_mount():
            self._make()
            _provide_loop()
            # What is kept here survives the machine's power, not this computer's: nothing need reach a real disk.
            do("mount", "-o", "loop,noatime,nobarrier", str(self.folder / "disk.img"), str(self.mounted))

    def unmount(self) -> None:
        """Take root and disk away, whoever still looks at them."""
        _unmount(self.root)
        _unmount(self.mounted)

    def wipe(self) -> None:
        """Forget what was written since the disk was new, or since it was last kept; the machine must be off."""
        _unmount(self.root)
        self._mount_disk()
        self.free()
        for name in ("upper", "work"):
            shutil.rmtree(self.mounted / name, ignore_errors=True)

    def keep(self) -> None:
        """Make what was written until now a part of the new disk; the machine must be off."""
        _unmount(self.root)
        self._mount_disk()
        (self.mounted / "upper").rename(self.mounted / f"layer-{len(self.layers())}")
        shutil.rmtree(self.mounted / "work", ignore_errors=True)

    def layers(self) -> list[Path]:
        """List what was kept, the newest first."""
        return sorted(self.mounted.glob("layer-*"), key=lambda path: -int(path.name.rpartition("-")[2]))

    def fill(self, left: int = 0) -> None:
        """Take all space but `left` bytes; nothing is written for it."""
        with self.filler.open("wb") as file:
            for step in (2**30, 2**20, 2**12):
                with suppress(OSError):  # no space left: that is what it is for
                    while (free := self.space()[1] - left) >= step:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free // step * step)
                        file.seek(0, os.SEEK_END)

    def free(self) -> None:
        """Give the space back that `fill` took."""
        self.filler.unlink(missing_ok=True)

    def space(self) -> tuple[int, int]:
        """Give the size of the disk and what is free of it, in bytes."""
        found = os.statvfs(self.mounted)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def _make(self) -> None:
        image = self.folder / "disk.img"
        if image.exists():
            return
        aside = image.with_suffix(".new")
        with aside.open("wb") as file:
            file.truncate(SIZE)
        options = ("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard", "-m", "0")
        do("mkfs.ext4", "-q", "-F", *options, str(aside))
        aside.rename(image)


def _unmount(path: Path) -> None:
    while path.is_mount():
        do("umount", "--lazy", str(path))


def _provide_loop() -> None:
    """See that the next free loop device has a node: in a container, /dev has those from when it was started."""
    try:
        with Path("/dev/loop-control").open("rb") as control:
            number = fcntl.ioctl(control, LOOP_GET_FREE)
    except OSError as error:
        raise MachineError(f"this computer has no loop devices for the disks of machines: {error}") from None
    for each in range(number, number + 4):  # others take some meanwhile
        with suppress(FileExistsError):
            os.mknod(f"/dev/loop{each}", stat.S_IFBLK | 0o660, os.makedev(LOOP_MAJOR, each))
