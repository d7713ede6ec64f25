"""A worker that knows one job, which takes until a file says that it may end. A program of its own: it gets signals.

Names of further jobs that it is to know are its arguments. Each beginning and end is a line of the file ``said``.
"""

import os
import sys
from pathlib import Path
from time import sleep
from typing import Any

from app.components import build_registry
from app.jobs.models import Arguments, Job
from app.jobs.notify import say_ready
from app.jobs.runner import JobRunner
from app.jobs.worker import work
from app.logs import configure_logging
from app.settings import Settings


def slow(components: Any, arguments: Arguments) -> str:
    """Begin, wait for the word, end."""
    folder, name = Path(arguments["folder"]), arguments["name"]
    say(folder, f"begin {name} {os.getpid()}")
    while not (folder / f"{name}.go").exists():
        sleep(0.02)
    say(folder, f"end {name} {os.getpid()}")
    return f"{name} was slow"


def say(folder: Path, line: str) -> None:
    """Append a line: whole, however many do."""
    with (folder / "said").open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    settings = Settings.from_environ(os.environ)
    configure_logging(settings)
    with build_registry(settings) as registry:
        names = ("test.slow", *sys.argv[1:])
        registry.register_value(JobRunner, JobRunner(registry, [Job(name, "waits", slow) for name in names]))
        sys.exit(work(settings, registry, lambda: say_ready(os.environ)))
