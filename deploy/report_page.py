"""The report of a rollout as one page and as JSON: what was done on which host when, and what users met meanwhile."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.bake import percent
from deploy.environment import ROOT
from deploy.plan import Kind, Plan
from deploy.prober import Interval
from deploy.report import Outcome, Record, plan_as_json, steps_as_text

MEANING = {
    Kind.FENCE: "keep a host that can't be reached from users until it runs what all run",
    Kind.STAGE: "send the files that the host lacks and put release and variables together as a generation",
    Kind.TRIAL: "boot the generation on a private socket; it must answer its health check before it sees a user",
    Kind.REHEARSE: "replay what the running release asks of the database on a scratch copy of the migrated schema",
    Kind.BACKUP: "back the database up, and prove the backup by restoring it into a scratch database",
    Kind.LOAD: "restore a backup into a new database, see that it has what was counted, and switch to it",
    Kind.MIGRATE: "bring the database's schema to what the release knows, once",
    Kind.INIT: "prepare the empty database; where anything ever served, or data is, it does not run",
    Kind.SEED: "load the reference data into an empty environment, once",
    Kind.DRAIN: "the load balancer sends no new requests; wait until those in flight are answered",
    Kind.SWITCH: "start the generation beside the old one, wait until it is ready, then ask the old one to leave",
    Kind.RESTART: "stop the generation's processes and start them anew; the socket stays",
    Kind.READY: "the load balancer's own health check finds the host up",
    Kind.RESTORE: "the load balancer sends requests again",
    Kind.BAKE: "the new servers' failed requests, response times and restarts are compared with the old ones'",
    Kind.PAUSE: "time for a person to look; a no goes back as a failure does",
    Kind.PRUNE: "remove generations and releases that no rollback can need",
}

TEMPLATES = Path(__file__).parent / "templates"
REPORTS = ROOT / "var" / "reports"
KEPT = 100  # reports of an environment
WIDTH, LEFT, ROW, CHART = 960, 110, 26, 150  # pixels: the drawing, its names, a host's row, the latencies below


@dataclass(frozen=True)
class Bar:
    """A step as it is drawn."""

    kind: str
    x: float
    width: float
    title: str
    failed: bool


@dataclass(frozen=True)
class Drawing:
    """All that the page draws, in pixels."""

    height: int
    rows: tuple[tuple[str, int, tuple[Bar, ...]], ...]  # host, y, its steps
    ticks: tuple[tuple[float, str], ...]
    p50: str
    p99: str
    top: float  # milliseconds at the top of the latencies
    base: int  # y of their bottom
    failures: tuple[tuple[float, str], ...]


def write(identifier: str, plan: Plan, records: Sequence[Record], outcome: Outcome, reports: Path = REPORTS) -> Path:
    """Write `<reports>/<environment>/<rollout>.html` and `.json`; answer the page's path."""
    folder = reports / outcome.environment
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{identifier}.html"
    for path, text in (
        (page.with_suffix(".json"), json.dumps(as_json(identifier, plan, records, outcome), indent=1) + "\n"),
        (page, render(identifier, plan, records, outcome)),
    ):
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.rename(path)
    for old in sorted(folder.glob("*.html"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)
    return page


def as_json(identifier: str, plan: Plan, records: Sequence[Record], outcome: Outcome) -> dict[str, Any]:
    """Give everything that the page shows as plain data."""
    return {
        "rollout": identifier,
        "outcome": outcome.as_json(),
        "plan": plan_as_json(plan),
        "steps": [asdict(record) for record in records],
        "prober": asdict(outcome.prober) if outcome.prober else None,
    }


def render(identifier: str, plan: Plan, records: Sequence[Record], outcome: Outcome) -> str:
    """Write the page: one file without scripts, which needs nothing from anywhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # slow to import, and `nothing to do` needs none

    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    timeline = outcome.prober.timeline if outcome.prober else ()
    return jinja.get_template("report.html.jinja").render(
        identifier=identifier,
        outcome=outcome,
        plan=plan,
        percent=percent,
        bakes=[record for record in records if record.step.kind is Kind.BAKE],
        steps_text=steps_as_text(plan),
        records=records,
        drawing=draw(records, timeline),
        before=before(records, timeline),
        meaning={str(kind): text for kind, text in MEANING.items()},
        kinds=list(dict.fromkeys(str(record.step.kind) for record in records)),
        began=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min((r.begun for r in records), default=time.time()))),
        width=WIDTH,
        left=LEFT,
    )


def before(records: Sequence[Record], timeline: Sequence[Interval]) -> tuple[float, float] | None:
    """Give p50 and p99 in milliseconds until the first host's turn began: what users knew before; None when unknown."""
    turns = [record.begun for record in records if record.step.kind in ("drain", "switch")]
    calm = [interval for interval in timeline if not turns or interval.at < min(turns)]
    if not calm:
        return None
    return sorted(i.p50 for i in calm)[len(calm) // 2], max(i.p99 for i in calm)


def draw(records: Sequence[Record], timeline: Sequence[Interval]) -> Drawing:
    """Lay out steps and latencies over one axis of time."""
    times = [*(r.begun for r in records), *(r.ended for r in records), *(i.at for i in timeline)]
    begin, end = (min(times), max(times)) if times else (0.0, 1.0)
    scale = (WIDTH - LEFT - 10) / max(end - begin, 0.1)

    def x(at: float) -> float:
        return round(LEFT + (at - begin) * scale, 1)

    hosts = sorted({host for record in records for host in record.step.hosts}, key=_by_number)
    rows = tuple(
        (host, 20 + number * ROW, tuple(_bar(r, x, scale) for r in records if host in r.step.hosts))
        for number, host in enumerate(hosts)
    )
    base = 20 + len(hosts) * ROW + CHART
    top = max([1.0, *(i.p99 for i in timeline)])
    every = _round_step((end - begin) / 8)
    return Drawing(
        height=base + 30,
        rows=rows,
        ticks=tuple((x(begin + n * every), f"{n * every:g} s") for n in range(int((end - begin) / every) + 1)),
        p50=" ".join(f"{x(i.at)},{base - i.p50 / top * (CHART - 20):.1f}" for i in timeline),
        p99=" ".join(f"{x(i.at)},{base - i.p99 / top * (CHART - 20):.1f}" for i in timeline),
        top=top,
        base=base,
        failures=tuple((x(i.at), f"{i.failed} of {i.requests} failed") for i in timeline if i.failed),
    )


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort web10 behind web9."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", name)]


def _bar(record: Record, x: Any, scale: float) -> Bar:
    seconds = record.ended - record.begun
    said = f"FAILED: {record.error}" if record.error else record.detail
    title = f"{record.step.kind} on {', '.join(record.step.hosts)}, {seconds:.2f} s: {said}"
    return Bar(str(record.step.kind), x(record.begun), max(1.5, round(seconds * scale, 1)), title, bool(record.error))


def _round_step(wanted: float) -> float:
    """Give the smallest of 0.1, 0.2, 0.5, 1, 2, 5, ... seconds that is not below what is wanted."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= wanted:
                return round(step * factor, 1)
        step *= 10
