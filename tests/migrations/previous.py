"""The release that is still running works on the schema of the next: its own contract suite is asked on it.

First on its own schema, which shows that the suite passes at all and leaves users and tokens behind; then, with those
rows, on the schema that the expand migrations of the next release make of it.
"""

from __future__ import annotations

import json
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.database.revisions import Revision
from tests.migrations.databases import Databases, Urls
from tests.migrations.trees import Failed, Tree

SUITE = "tests/contract"
HOOK = "CONTRACT_DATABASE_URL"


@dataclass(frozen=True)
class Outcome:
    """What failed: the tests, and the requests that the application could not answer, with its reason."""

    tests: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()

    def __str__(self) -> str:
        failing = f"; failing request: {'; '.join(self.requests[:3])}" if self.requests else ""
        more = f" and {len(self.tests) - 1} more" if len(self.tests) > 1 else ""
        return f"{self.tests[0]}{more}{failing}"


def coming(previous: Sequence[Revision], new: Sequence[Revision]) -> list[str]:
    """Answer what runs while the previous release does: up to the first contract migration that it does not know."""
    known = {entry.revision for entry in previous}
    found = []
    for entry in new:
        if entry.revision in known:
            continue
        if entry.kind == "contract":
            break
        found.append(entry.revision)
    return found


@contextmanager
def prepared(
    previous: Tree, databases: Databases, seeded: Urls | None = None, tests: Sequence[str] = ()
) -> Iterator[Urls]:
    """Give a database of the previous release, with rows in it. Raises Failed if its suite fails on its own schema.

    ``seeded`` has the places that it loads already, so they need not be loaded again.
    """
    if HOOK not in (previous.root / SUITE / "conftest.py").read_text(encoding="utf-8"):
        raise Failed(f"{previous.name}: its {SUITE} can't be asked on a database that is given; expected {HOOK} in it")
    with databases.copy(seeded) if seeded else databases.empty() as urls:
        previous.app(urls.owner, "db", "upgrade")
        previous.app(urls.app, "db", "seed")
        outcome = ask(previous, urls, tests)
        if outcome.tests:
            raise Failed(f"{previous.name}: its suite fails on its own schema, so it can show nothing: {outcome}")
        yield urls


def check(previous: Tree, new: Tree, databases: Databases, rows: Urls, tests: Sequence[str] = ()) -> list[str]:
    """Answer what the previous release can't do any more, and which migration took it away."""
    steps = coming(previous.revisions(), new.revisions())
    if not steps:
        return []
    try:
        outcome = after(previous, new, databases, rows, steps[-1], tests)
        if not outcome.tests:
            return []
        for step in steps[:-1]:
            sooner = after(previous, new, databases, rows, step, outcome.tests)
            if sooner.tests:
                return [f"{databases.kind}: migration {step} breaks {previous.name}: {sooner}"]
    except Failed as error:
        return [f"{databases.kind}: {', '.join(steps)} on the rows of {previous.name}: {error}"]
    return [f"{databases.kind}: migration {steps[-1]} breaks {previous.name}: {outcome}"]


def and_back(previous: Tree, new: Tree, databases: Databases, rows: Urls, tests: Sequence[str] = ()) -> list[str]:
    """Answer what the previous release lacks when its schema was migrated, and that undone again."""
    steps, head = coming(previous.revisions(), new.revisions()), previous.revisions()[-1].revision
    if not steps:
        return []
    title = f"{databases.kind}: {', '.join(steps)} and back"
    try:
        with databases.copy(rows) as urls:
            new.app(urls.owner, "db", "upgrade", steps[-1])
            new.app(urls.owner, "db", "downgrade", head)
            previous.script("compare.py", urls.owner)
            outcome = ask(previous, urls, tests)
    except Failed as error:
        return [f"{title}: {error}"]
    return [f"{title}: {outcome}"] if outcome.tests else []


def after(previous: Tree, new: Tree, databases: Databases, rows: Urls, step: str, tests: Sequence[str] = ()) -> Outcome:
    """Migrate a copy up to one migration, and ask the previous release's suite on it."""
    with databases.copy(rows) as urls:
        new.app(urls.owner, "db", "upgrade", step)
        return ask(previous, urls, tests)


def ask(tree: Tree, urls: Urls, tests: Sequence[str] = ()) -> Outcome:
    """Run a tree's suite on a database."""
    with tempfile.TemporaryDirectory(prefix="contract-") as name:
        folder, report = Path(name, "run"), Path(name, "report.xml")
        options = ["--quiet", "-p", "no:cacheprovider", f"--basetemp={folder}"]
        options += [f"--junitxml={report}", "-o", "junit_family=xunit1", "--maxfail=3"]
        try:
            tree.run([tree.python, "-m", "pytest", *options, *(tests or [SUITE])], **{HOOK: urls.app})
        except Failed as error:
            failing, requests = failures(report)
            if not failing:
                raise Failed(f"{tree.name}: its suite could not be run: {error}") from error
            return Outcome(failing, unanswered(folder) or requests)
        return Outcome()


def failures(report: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read in a report the tests that failed, as pytest takes them, and the requests that they did not expect so."""
    tests: list[str] = []
    requests: dict[str, None] = {}
    if not report.exists():
        return (), ()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  pytest's own
        file, wrong = case.get("file", ""), [*case.findall("failure"), *case.findall("error")]
        if not wrong:
            continue
        inner = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", ".")).strip(".")
        tests.append("::".join(filter(None, (file, inner, case.get("name")))))
        for asked in re.findall(r"status=(\d+)[^\n]*asked='([^']*)'", wrong[0].get("message", "")):
            requests[f"{asked[1]} {asked[0]}"] = None
    return tuple(tests), tuple(requests)


def unanswered(folder: Path) -> tuple[str, ...]:
    """Read in the application's own log which requests it could not answer, and why."""
    found: dict[str, None] = {}
    reason = ""
    for log in sorted(folder.rglob("gunicorn.log")):
        for text in log.read_text(encoding="utf-8").splitlines():
            if not text.startswith("{"):  # what the interpreter says when it can't even begin
                continue
            line = json.loads(text)
            if line.get("exception"):
                raised = re.findall(
                    r"^(?![A-Z0-9 ]+:)[\w.]+: .+", str(line["exception"]), re.MULTILINE
                )  # the last: what reached the top; not PostgreSQL's DETAIL, which repeats the row
                reason = raised[-1] if raised else ""
            if line.get("status", 0) >= 500:
                found[f"{line['message']}{f' ({reason})' if reason else ''}"] = None
                reason = ""
    return tuple(found)
