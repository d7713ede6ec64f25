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

LOWER = "lower-"  # where disks that were kept are mounted
SIZE = 20 * 2**30  # bytes; the file takes only what is written
LOOP_GET_FREE, LOOP_MAJOR = 0x4C82, 7  # <linux/loop.h>, <linux/major.h>


@dataclass(frozen=True)
class Disk:
    """`<folder>/disk.img`, mounted at `<folder>/disk`; the machine's root, an overlay on it, at `<folder>/root`."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "disk.img"

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
        """Mount disk and root, where they are not; what the root lies on may be folders, and disks that were kept."""
        self._mount_disk()
        self.root.mkdir(exist_ok=True)
        if not self.root.is_mount():
            images, folders = parts(self.folder, lower)
            for image, where in images.items():
                where.mkdir(exist_ok=True)
                if not where.is_mount():
                    provide_loop()
                    do("mount", "-o", "loop,ro", image, str(where))
            for path in (self.mounted / "upper", self.mounted / "work"):
                path.mkdir(exist_ok=True)
            do(*overlay(self, [*map(str, self.layers()), *folders]))

    def _mount_disk(self) -> None:
        self.mounted.mkdir(parents=True, exist_ok=True)
        if not self.mounted.is_mount():
            make(self.image)
            provide_loop()
            # What is kept here survives the machine's power, not this computer's: nothing need reach a real disk.
            do("mount", "-o", "loop,noatime,nobarrier", str(self.image), str(self.mounted))

    def unmount(self) -> None:
        """Take root and disk away, whoever still looks at them."""
        for path in (self.root, self.mounted, *self.folder.glob(f"{LOWER}*")):
            _unmount(path)

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


def make(image: Path) -> None:
    """Make an empty file system in a sparse file, complete or not at all."""
    if image.exists():
        return
    aside = image.with_suffix(".new")
    with aside.open("wb") as file:
        file.truncate(SIZE)
    options = ("-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard", "-m", "0")
    do("mkfs.ext4", "-q", "-F", *options, str(aside))
    aside.rename(image)


def parts(folder: Path, lower: str) -> tuple[dict[str, Path], list[str]]:
    """Split what a root lies on: which disks to mount where below a folder, and all folders, the topmost first."""
    images: dict[str, Path] = {}
    folders = []
    for part in lower.split(":"):
        if part.endswith(".img"):
            images[part] = folder / f"{LOWER}{len(images)}"
            folders.append(str(images[part] / "upper"))
        else:
            folders.append(part)
    return images, folders


def overlay(disk: Disk, folders: list[str]) -> list[str]:
    """Give the command that mounts a root, once its parts are mounted."""
    options = f"lowerdir={':'.join(folders)},upperdir={disk.mounted / 'upper'},workdir={disk.mounted / 'work'}"
    return ["mount", "-t", "overlay", "overlay", "-o", options, str(disk.root)]


def _unmount(path: Path) -> None:
    while path.is_mount():
        do("umount", "--lazy", str(path))


def provide_loop(count: int = 1) -> None:
    """See that the next free loop devices have nodes: in a container, /dev has those from when it was started."""
    try:
        with Path("/dev/loop-control").open("rb") as control:
            number = fcntl.ioctl(control, LOOP_GET_FREE)
    except OSError as error:
        raise MachineError(f"this computer has no loop devices for the disks of machines: {error}") from None
    for each in range(number, number + count + 4):  # others take some meanwhile
        with suppress(FileExistsError):
            os.mknod(f"/dev/loop{each}", stat.S_IFBLK | 0o660, os.makedev(LOOP_MAJOR, each))
