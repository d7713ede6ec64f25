"""Before migrations run: try them on a scratch copy of the schema, and ask what runs whether it still works there.

The new release makes the copy, as the role that owns the schema; the release that runs replays its own statements, with
its own interpreter, driver and role. What failed before the migrations as well says nothing, so it does not count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from deploy.agents import AgentError
from deploy.errors import SlipwayError
from deploy.plan import Step
from deploy.wording import count

UNAVAILABLE = 69  # what the contract's commands exit with where it can't be done: EX_UNAVAILABLE of sysexits(3)
NOTHING = "base"
SHOWN = 3


class Run(Protocol):
    def __call__(self, command: str, *, to: str | None = None, generation: int | None = None) -> str:
        """Run one of the contract's commands; answer what it said."""


class NotRehearsed(SlipwayError):
    """It can't be found out here."""


@dataclass(frozen=True)
class Answer:
    """Which statements failed, and at which of their runs."""

    replayed: int
    failed: dict[str, tuple[str, frozenset[int]]]  # statement -> error, runs


def rehearse(run: Run, step: Step) -> str:
    """Say what the rehearsal has shown.

    Raises: SlipwayError naming the migration that breaks what runs; AgentError, AgentGone.
    """
    try:
        before = after_migrating(run, step, (NOTHING, step.revision))
        after = after_migrating(run, step, step.pending[-1:])
        if broken(before, after):
            raise refusal(step, *first_that_breaks(run, step, before, after))
    except NotRehearsed as error:
        return f"not rehearsed: {error.message}"
    finally:
        with suppress(SlipwayError):
            run("rehearse", to=NOTHING)
    return f"{count(after.replayed, 'statement')} of what runs, replayed on a scratch copy: none fails after it"


def after_migrating(run: Run, step: Step, revisions: Sequence[str]) -> Answer:
    """Bring the scratch copy to revisions, one after another, and ask what runs.

    Raises: NotRehearsed; SlipwayError when a migration itself fails there.
    """
    for revision in revisions:
        try:
            asked(run, "rehearse", to=revision)
        except AgentError as error:
            if revision in (NOTHING, step.revision):
                raise NotRehearsed(last_line(error)) from error
            raise SlipwayError(
                f"{step.host}: {revision} fails on a scratch copy of the schema: {last_line(error)}",
                hint="mend the migration, then make release",
            ) from error
    text = asked(run, "replay", generation=step.asks)
    return read(text)


def asked(run: Run, command: str, *, to: str | None = None, generation: int | None = None) -> str:
    """Run a command. Raises: NotRehearsed where a release has no such command, or it can't be done."""
    try:
        return run(command, to=to, generation=generation)
    except AgentError as error:
        if error.code == "no-command" or error.error.get("returncode") == UNAVAILABLE:
            raise NotRehearsed(last_line(error)) from error
        raise


def last_line(error: AgentError) -> str:
    """Answer the last that a command said, or what the agent says of it."""
    lines = error.detail.strip().splitlines()
    return lines[-1] if lines else error.message


def read(text: str) -> Answer:
    """Read the line that `replay` prints last.

    Raises: NotRehearsed when there is none.
    """
    with suppress(ValueError, KeyError, TypeError, StopIteration):
        said = json.loads(next(line for line in reversed(text.splitlines()) if line.startswith("{")))
        failed = {entry["sql"]: (str(entry["error"]), frozenset(entry["runs"])) for entry in said["failed"]}
        return Answer(int(said["replayed"]), failed)
    raise NotRehearsed("the release that runs did not say what it replayed")


def broken(before: Answer, after: Answer) -> dict[str, str]:
    """Answer the statements that fail now and did not before, with the error."""
    nothing: tuple[str, frozenset[int]] = ("", frozenset())
    return {sql: error for sql, (error, runs) in after.failed.items() if runs - before.failed.get(sql, nothing)[1]}


def first_that_breaks(run: Run, step: Step, before: Answer, after: Answer) -> tuple[str, dict[str, str]]:
    """Find which of several migrations it is, one by one."""
    if len(step.pending) > 1:
        after_migrating(run, step, (NOTHING, step.revision))
        for revision in step.pending[:-1]:
            if found := broken(before, after_migrating(run, step, (revision,))):
                return revision, found
    return step.pending[-1], broken(before, after)


def refusal(step: Step, revision: str, found: dict[str, str]) -> SlipwayError:
    """Say what breaks what."""
    shown = [f"{error}: {sql}" for sql, error in found.items()]
    more = len(shown) - SHOWN
    return SlipwayError(
        f"{step.host}: migration {revision} breaks generation {step.asks}, which is running:"
        f" {count(len(shown), 'statement')} of it would fail",
        problems=(*shown[:SHOWN], *([f"and {more} more"] if more > 0 else [])),
        hint="make it an expand migration now and a contract migration later (docs/reference/migrations.md);"
        " [migrate] rehearse = false in the environment file leaves this out",
    )
