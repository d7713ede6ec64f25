"""The folder that artifacts are built into: one builder at a time, and no traceback when it can't be written."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import SlipwayError


class OutputError(SlipwayError):
    """The folder can't be written."""


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Let one process at a time build into a folder; the next one finds it done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = os.open(out, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(
            f"{error.filename or out}: can't be written: {error.strerror or error}",
            hint="free space or mend permissions, or build elsewhere: python -m deploy.artifacts release --out FOLDER",
        ) from error
