"""A worker that stops in the middle of its first import, so that it can be killed there. A program of its own.

Arguments: a folder, and where to stop: ``between`` two batches, or ``within`` one, before it is committed. It says
``paused`` in a file of that name, with the number of the process that does the import.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import sleep

from app.components import build_registry
from app.jobs.notify import say_ready
from app.jobs.worker import work
from app.logs import configure_logging
from app.saved_places.importing import BATCH, Imports
from app.saved_places.models import Import, Row
from app.settings import Settings

STEP = Imports.step


class Stopping:
    """A transaction that never gets to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commit(self) -> None:
        """Wait to be killed."""
        aside = self.folder / "pausing"
        aside.write_text(str(os.getpid()))
        aside.rename(self.folder / "paused")
        while True:
            sleep(1)


if __name__ == "__main__":
    folder, where = Path(sys.argv[1]), sys.argv[2]

    def step(self: Imports, current: Import, batch: Sequence[Row]) -> Import | None:
        """Stop when two batches are in."""
        if current.done == 2 * BATCH and not (folder / "paused").exists():
            if where == "between":
                Stopping(folder).commit()
            self.transaction = Stopping(folder)
        return STEP(self, current, batch)

    Imports.step = step  # type: ignore[method-assign]
    settings = Settings.from_environ(os.environ)
    configure_logging(settings)
    with build_registry(settings) as registry:
        sys.exit(work(settings, registry, lambda: say_ready(os.environ)))
