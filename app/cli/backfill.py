"""``gazetteer backfill``: fill new columns of old rows, beside the users."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from app.cli.environment import fail
from app.cli.users import components

if TYPE_CHECKING:
    from app.backfills.backfill import Backfill
    from app.backfills.runner import Step

logger = logging.getLogger(__name__)

TELL_SECONDS = 10.0  # between two lines where there is no terminal


@click.group()
def command() -> None:
    """Fill new columns of old rows, in batches."""


@command.command("list")
def list_backfills() -> None:
    """List every backfill that this release knows."""
    from app.backfills.known import BACKFILLS

    for backfill in BACKFILLS:
        click.echo(f"{backfill.name}  {backfill.summary}")


@command.command()
def status() -> None:
    """Say how far each backfill has come."""
    from sqlalchemy import Engine, func, select

    from app.backfills import progress
    from app.backfills.known import BACKFILLS

    with components() as container, container.get(Engine).connect() as connection:
        for backfill in BACKFILLS:
            found = progress.read(connection, backfill.name)
            last = connection.scalar(select(func.max(backfill.key))) or 0
            click.echo(f"{backfill.name}  {state(found, last)}")


def state(found: Any, last: int) -> str:
    """Say in a few words how far a backfill has come."""
    if found is None:
        return "not begun"
    rows = f"{found.filled:,} rows filled"
    if found.finished_at:
        return f"finished {found.finished_at:%Y-%m-%d %H:%M}, {rows}"
    whose = "workers go on with it" if found.queued else "nobody else goes on with it"
    return f"{share(found.position, last):.0%}, {rows}; {whose}"


def share(position: int, last: int) -> float:
    """Return how much of the keys is done."""
    return min(position / last, 1.0) if last else 1.0


@command.command()
@click.argument("name")
@click.option("--queue", is_flag=True, help="Leave it to the workers, who do a part of it each minute.")
def run(name: str, queue: bool) -> None:
    """Do a backfill, or go on with one. Ctrl-C ends it after the batch in hand; the same command goes on."""
    from sqlalchemy import Engine

    from app.backfills import progress
    from app.backfills.known import BACKFILLS
    from app.backfills.runner import Elsewhere, Runner, Stuck
    from app.clock import Clock

    backfill = next((each for each in BACKFILLS if each.name == name), None)
    if backfill is None:
        fail(f"there is no backfill {name!r}; expected one of {', '.join(each.name for each in BACKFILLS)}")
    with components() as container:
        engine, clock = container.get(Engine), container.get(Clock)
        if queue:
            with engine.begin() as connection:
                progress.begin(connection, name, clock.now(), queued=True)
            click.echo(f"{name}: workers go on with it from their next minute on")
            return
        with asked_to_leave() as leaving, teller(backfill) as tell:
            try:
                done = Runner(engine, backfill, clock, tell, leaving).run()
            except Elsewhere as error:
                fail(f"{error}; expected to be the only one. See: backfill status")
            except Stuck as error:
                fail(f"{error}; expected none")
        if done.finished_at is None:
            fail(f"{name}: ended before its end, {done.filled:,} rows filled. Type: backfill run {name}", 130)
        click.echo(f"{name}: finished, {done.filled:,} rows filled")


@contextmanager
def asked_to_leave() -> Iterator[threading.Event]:
    """Give what is set by Ctrl-C or SIGTERM, in the place of what these did before."""
    leaving = threading.Event()
    before = {number: signal.signal(number, lambda *_: leaving.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield leaving
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def teller(backfill: "Backfill") -> "Bar | Lines":
    """Tell as a terminal likes it, or as a log."""
    return Bar(backfill.name) if sys.stderr.isatty() else Lines(backfill.name)


class Bar:
    """A bar with an estimate."""

    def __init__(self, name: str) -> None:
        self.bar = click.progressbar(
            length=1000, label=name, file=sys.stderr, show_eta=True, item_show_func=lambda item: item or ""
        )

    def __enter__(self) -> "Bar":
        self.bar.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.bar.__exit__(*exception)

    def __call__(self, step: "Step") -> None:
        if step.waiting_for:
            self.bar.current_item = f"waiting: {step.waiting_for}"
            self.bar.render_progress()
            return
        self.bar.update(int(1000 * share(step.position, step.last)) - self.bar.pos, f"{step.filled:,} rows")


class Lines:
    """A line every few seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = self.told = time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exception: Any) -> None:
        return None

    def __call__(self, step: "Step") -> None:
        now = time.monotonic()
        if now - self.told < TELL_SECONDS:
            return
        self.told = now
        if step.waiting_for:
            click.echo(f"{self.name}: waiting: {step.waiting_for}", err=True)
            return
        done = share(step.position, step.last)
        left = (now - self.began) * (1 - done) / done if done else 0.0
        click.echo(f"{self.name}: {done:.0%}, {step.filled:,} rows, about {left:.0f} s left", err=True)
