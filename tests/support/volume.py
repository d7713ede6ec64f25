"""A small disk of its own, for faults of disks: full, without an inode left, read-only, slow. Root on Linux needed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from deploy.fleet.base import obstacle
from deploy.fleet.disk import provide_loop

THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_iops_device")  # of the control groups of Linux's first kind


def do(*words: str) -> str:
    """Run a program."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Volume:
    """An ext4 file system in a file."""

    device: str  # such as `loop3`; it stays when the file system is checked, and so does what the kernel knows of it
    path: Path

    @property
    def filler(self) -> Path:
        """Locate what takes all room."""
        return self.path / "filler"

    def mount(self) -> None:
        """Mount it."""
        self.path.mkdir(exist_ok=True)
        do("mount", "-o", "noatime,errors=remount-ro", f"/dev/{self.device}", str(self.path))

    def unmount(self) -> None:
        """Take it away."""
        do("umount", str(self.path))

    def fill(self) -> None:
        """Leave no byte, not even in directories that would have to grow."""
        descriptor = os.open(self.filler, os.O_WRONLY | os.O_CREAT)
        space = os.statvfs(self.path)
        size = space.f_bfree * space.f_frsize
        at = 0
        while size >= space.f_frsize:
            try:
                os.posix_fallocate(descriptor, at, size)
                at += size
            except OSError:
                size //= 2
        os.close(descriptor)

    def use_inodes(self) -> None:
        """Leave no inode."""
        self.filler.mkdir()
        number = 0
        while True:
            try:
                os.close(os.open(self.filler / str(number), os.O_WRONLY | os.O_CREAT))
            except OSError:
                return
            number += 1

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Take no write for a while."""
        do("mount", "-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            do("mount", "-o", "remount,rw", str(self.path))

    def fail(self) -> None:
        """Let the kernel find an error in it: from now on it takes no write, whoever has a file open."""
        Path(f"/sys/fs/ext4/{self.device}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Check it and mount it again, as a person does after an error; what was not written to it is lost."""
        self.unmount()
        check = ["e2fsck", "-fp", f"/dev/{self.device}"]
        # A machine that boots at this moment has a copy of every mount until it has a root of its own.
        while "is in use" in (done := subprocess.run(check, stdout=PIPE, stderr=STDOUT, text=True, check=False)).stdout:
            time.sleep(0.05)
        assert done.returncode in (0, 1), f"neither whole nor mended: {done.stdout}"
        self.mount()

    def write_out(self) -> None:
        """Have all that was written so far on the disk."""
        do("sync", "--file-system", str(self.path))

    def heal(self) -> None:
        """Undo what was done."""
        if self.filler.is_dir():
            for path in self.filler.iterdir():
                path.unlink()
            self.filler.rmdir()
        self.filler.unlink(missing_ok=True)

    @contextmanager
    def slow(self, writes: int) -> Iterator[None]:
        """Let it do so many writes a second for a while."""
        number = Path(f"/sys/block/{self.device}/dev").read_text().strip()
        THROTTLE.write_text(f"{number} {writes}")
        try:
            yield
        finally:
            THROTTLE.write_text(f"{number} 0")


@contextmanager
def volume(folder: Path, megabytes: int = 24, inodes: int = 200) -> Iterator[Volume]:
    """Make one for a while."""
    reason = obstacle()
    if reason:
        pytest.skip(reason)
    image = folder / "volume.img"
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    do("mkfs.ext4", "-q", "-m", "0", "-N", str(inodes), str(image))
    provide_loop()
    device = do("losetup", "--find", "--show", str(image))
    made = Volume(Path(device).name, folder / "volume")
    try:
        made.mount()
        yield made
    finally:
        subprocess.run(["umount", made.path], capture_output=True, check=False)
        do("losetup", "--detach", device)
