"""Say what happens while it happens: for a terminal, for a log file, for a machine."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

from deploy.errors import Exit, SlipwayError
from deploy.overview import PIECES, named
from deploy.plan import Kind, Plan, Step
from deploy.terminal import while_somebody_reads
from deploy.wording import count, human

if TYPE_CHECKING:
    from deploy.bake import Verdict
    from deploy.prober import Summary


@dataclass
class Outcome:
    """How a rollout ended."""

    exit: Exit
    environment: str
    message: str
    version: str = ""
    digest: str = ""
    generation: int | None = None
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)  # wall seconds of each kind of step, its slowest host
    prober: Summary | None = None
    bakes: dict[str, Verdict] = field(default_factory=dict)  # by the host of the step
    url: str = ""
    hint: str | None = None
    problems: tuple[str, ...] = ()
    page: str = ""  # where the report lies
    found_after: float | None = None  # seconds from a failed release's first start on any host until it was found out

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data; what went on second by second is in the report."""
        data = asdict(self)
        if data["prober"]:
            del data["prober"]["timeline"]
        return {**data, "exit": int(self.exit), "outcome": self.exit.name.lower().replace("_", "-")}


class Reporter(Protocol):
    """Whoever wants to know how a rollout goes."""

    def plan(self, environment: str, plan: Plan) -> None:
        """Say what will be done."""

    def note(self, text: str) -> None:
        """Say something that is not a step."""

    def begin(self, step: Step) -> None:
        """Say that a step begins."""

    def end(self, step: Step, seconds: float, detail: str) -> None:
        """Say that a step is done."""

    def failed(self, step: Step, seconds: float, error: SlipwayError) -> None:
        """Say that a step failed."""

    def silent(self) -> AbstractContextManager[None]:
        """Leave the terminal to somebody else meanwhile."""

    def outcome(self, outcome: Outcome) -> None:
        """Say how it ended."""

    def close(self) -> None:
        """Leave the terminal tidy."""


def line(step: Step, seconds: float, detail: str) -> str:
    """Write one line for a finished step."""
    return f"  {step.kind:<8} {step.host:<8} {seconds:6.2f} s  {detail}"


class PlainReporter:
    """One line for each finished step: for logs, pipes and CI."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.RLock()  # a signal may come while its own thread says something

    def _print(self, text: str) -> None:
        with self._lock, while_somebody_reads():
            print(text, file=self._out, flush=True)

    def plan(self, environment: str, plan: Plan) -> None:
        """Say what will be done, in one line: `fab plan` says it in full."""
        self._print(heading(environment, plan))

    def note(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def begin(self, step: Step) -> None:
        """Keep silent: a log wants results."""

    def end(self, step: Step, seconds: float, detail: str) -> None:
        """Print the step's line."""
        self._print(line(step, seconds, detail))

    def failed(self, step: Step, seconds: float, error: SlipwayError) -> None:
        """Print the step's line and the reason."""
        self._print(line(step, seconds, f"FAILED: {error.message}"))
        for text in str(getattr(error, "detail", "")).splitlines()[-12:]:
            self._print(f"             | {text}")

    def silent(self) -> AbstractContextManager[None]:
        """Have nothing to do for it: lines come when steps end."""
        return nullcontext()

    def outcome(self, outcome: Outcome) -> None:
        """Print how it ended, where, and what to type next."""
        self._print(outcome.message)
        if outcome.found_after is not None:
            self._print(f"  found out {outcome.found_after:.1f} s after its first start")
        for problem in outcome.problems:
            self._print(f"  {problem}")
        if outcome.prober:
            self._print(f"prober: {outcome.prober}")
        if outcome.page:
            self._print(f"report: {outcome.page}")
        if outcome.hint:
            self._print(f"  -> {outcome.hint}")

    def close(self) -> None:
        """Nothing to tidy."""


class RichReporter(PlainReporter):
    """As plain, in colour, with the running steps at the bottom of the terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__()
        self._console = Console(highlight=False)
        self._running: dict[Step, float] = {}
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=10, transient=True)
        self._live.start()

    def _render(self) -> Any:
        from rich.text import Text

        now = time.monotonic()
        with self._lock:
            running = list(self._running.items())
        rows = [f"  {s.kind:<8} {s.host:<8} {now - begun:6.1f} s  {s.why} ..." for s, begun in running]
        return Text("\n".join(rows), style="cyan")

    def _print(self, text: str, style: str = "") -> None:
        with while_somebody_reads():
            self._console.print(text, style=style or None, markup=False, soft_wrap=True)

    def begin(self, step: Step) -> None:
        """Show the step as running."""
        with self._lock:
            self._running[step] = time.monotonic()

    def end(self, step: Step, seconds: float, detail: str) -> None:
        """Turn the running step into its line."""
        with self._lock:
            self._running.pop(step, None)
        self._print(line(step, seconds, detail), "green")

    def failed(self, step: Step, seconds: float, error: SlipwayError) -> None:
        """Turn the running step into its line and the reason."""
        with self._lock:
            self._running.pop(step, None)
        self._print(line(step, seconds, f"FAILED: {error.message}"), "bold red")
        for text in str(getattr(error, "detail", "")).splitlines()[-12:]:
            self._print(f"             | {text}", "red")

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take the running steps off the terminal meanwhile."""
        with while_somebody_reads():
            self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def close(self) -> None:
        """Take the running steps off the terminal."""
        self._live.stop()


class JsonReporter:
    """One JSON object a line; the last one is the outcome."""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout
        self._lock = threading.RLock()  # a signal may come while its own thread says something

    def _emit(self, event: str, **more: Any) -> None:
        with self._lock, while_somebody_reads():
            print(json.dumps({"event": event, "time": time.time(), **more}), file=self._out, flush=True)

    def plan(self, environment: str, plan: Plan) -> None:
        """Give the whole plan."""
        self._emit("plan", environment=environment, **plan_as_json(plan))

    def note(self, text: str) -> None:
        """Give the text."""
        self._emit("note", text=text)

    def begin(self, step: Step) -> None:
        """Give the step."""
        self._emit("begin", step=asdict(step))

    def end(self, step: Step, seconds: float, detail: str) -> None:
        """Give the step with its duration."""
        self._emit("end", step=asdict(step), seconds=round(seconds, 3), detail=detail)

    def failed(self, step: Step, seconds: float, error: SlipwayError) -> None:
        """Give the step with the reason."""
        detail = str(getattr(error, "detail", ""))
        self._emit("failed", step=asdict(step), seconds=round(seconds, 3), error=error.message, detail=detail)

    def silent(self) -> AbstractContextManager[None]:
        """Have nothing to do for it: a question goes elsewhere."""
        return nullcontext()

    def outcome(self, outcome: Outcome) -> None:
        """Give the outcome."""
        self._emit("outcome", **outcome.as_json())

    def close(self) -> None:
        """Nothing to tidy."""


@dataclass(frozen=True)
class Record:
    """A step that was done, with when it began and ended, in seconds since the epoch."""

    step: Step
    begun: float
    ended: float
    detail: str = ""
    error: str = ""  # why it failed


class Recorder:
    """Wraps a reporter and keeps what was done when."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.records: list[Record] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    @property
    def seconds(self) -> dict[str, float]:
        """How long each kind of step took at its slowest host."""
        slowest: dict[str, float] = {}
        for record in self.records:
            if not record.error:
                taken = record.ended - record.begun
                slowest[record.step.kind] = round(max(taken, slowest.get(record.step.kind, 0.0)), 3)
        return slowest

    @property
    def found_after(self) -> float | None:
        """How long after a release was first started anywhere the first step failed; None without either."""
        started = [record.begun for record in self.records if record.step.kind in (Kind.TRIAL, Kind.SWITCH)]
        failed = [record.ended for record in self.records if record.error and record.step.kind is not Kind.PAUSE]
        return round(failed[0] - min(started), 3) if started and failed and failed[0] >= min(started) else None

    def end(self, step: Step, seconds: float, detail: str) -> None:
        """Remember, then pass on."""
        now = time.time()
        self.records.append(Record(step, now - seconds, now, detail))
        self._reporter.end(step, seconds, detail)

    def failed(self, step: Step, seconds: float, error: SlipwayError) -> None:
        """Remember, then pass on."""
        now = time.time()
        self.records.append(Record(step, now - seconds, now, error=error.message))
        self._reporter.failed(step, seconds, error)


def reporter(*, as_json: bool) -> Reporter:
    """Choose: JSON when asked for, colour on a terminal, plain lines otherwise."""
    if as_json:
        return JsonReporter()
    return RichReporter() if sys.stdout.isatty() else PlainReporter()


def heading(environment: str, plan: Plan) -> str:
    """Name what a plan is about."""
    steps = count(len(plan.steps), "step")
    return f"{environment}: {plan.target.version} as generation {plan.target.generation}, {steps}"


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Give a plan as plain data; the digest of the variables stays here."""
    target = plan.target
    return {
        "version": target.version,
        "digest": target.digest,
        "generation": target.generation,
        "limit": list(plan.only),
        "problems": list(plan.problems),
        "variables": [asdict(change) for change in plan.changes],
        "overview": [list(row) for row in plan.overview],
        "groups": [{"title": g.title, "lanes": [[asdict(s) for s in lane] for lane in g.lanes]} for g in plan.groups],
    }


def plan_as_text(environment: str, plan: Plan) -> str:
    """Write a plan for a person: what it means, then step by step."""
    rows = [heading(environment, plan), *(f"  {word:<10}  {text}" for word, text in plan.overview)]
    rows += ["", "step by step:"] if plan.overview else []
    return "\n".join([*rows, steps_as_text(plan)])


def steps_as_text(plan: Plan) -> str:
    """Write steps for a person: what, where, in what order, why, and how much is sent."""
    rows = []
    for group in plan.groups:
        side_by_side = ", side by side" if len(group.lanes) > 1 else ""
        rows.append(f"{group.title}{side_by_side}:")
        for lane in group.lanes:
            for step in lane:
                sent = f" ({count(step.files, PIECES[step.form])}, {human(step.bytes)} to send)" if step.files else ""
                also = f", with {named(step.also)}" if step.also else ""
                rows.append(f"  {step.kind:<8} {step.host:<8} {step.why}{also}{sent}")
    return "\n".join(rows)
