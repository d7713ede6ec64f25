"""The page of a rollout: one file that shows all that happened, whatever the words in it."""

from __future__ import annotations

import json
import xml.dom.minidom
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from deploy.bake import Seen, Verdict
from deploy.changes import Change
from deploy.errors import Exit
from deploy.plan import Group, Kind, Plan, Step, Target
from deploy.prober import Interval, Summary
from deploy.report import Outcome, Record
from deploy.report_page import KEPT, as_json, before, draw, render, write

STAGE = Step(Kind.STAGE, "web1", "release is new here")
DRAIN = Step(Kind.DRAIN, "web1", "let requests in flight finish")
SWITCH = Step(Kind.SWITCH, "web2", "1.0 -> 2.0")
PLAN = Plan(Target(2, "2.0", "d" * 64, "e" * 64), (Group("stage", ((STAGE,),)), Group("canary", ((DRAIN, SWITCH),))))
RECORDS = (
    Record(STAGE, 100.0, 101.0, "3 files sent"),
    Record(DRAIN, 102.0, 102.5, "idle"),
    Record(SWITCH, 102.5, 104.0, error="<script>alert(1)</script> & died"),
)
TIMELINE = (Interval(100.0, 20, 0, 2.0, 9.0), Interval(102.2, 20, 3, 4.0, 40.0))
OUTCOME = Outcome(
    Exit.FAILED_ROLLED_BACK, "staging", "failed at switch; rolled back", "2.0", "d" * 64, 2, 4.0, {},
    Summary(40, 3, 3.0, 40.0, 41.0, 2, 2, {"GET /: status 503": 3}, TIMELINE), problems=("web2 & others",),
)  # fmt: skip


class Tags(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_fetches_and_runs_nothing() -> None:
    tags = Tags()
    tags.feed(render("r1", PLAN, RECORDS, OUTCOME))
    assert "script" not in tags.names
    assert tags.links == []


def test_it_says_how_it_ended_what_was_lost_and_why() -> None:
    page = render("r1", PLAN, RECORDS, OUTCOME)
    for words in ("rolled back", "3 of 20 failed", "&lt;script&gt;alert(1)", "web2 &amp; others", "idle"):
        assert words in page
    assert "e" * 64 not in page, "what identifies the variables is shown nowhere"


def test_it_shows_the_plan_the_variables_that_change_and_what_a_bake_found() -> None:
    bake = Step(Kind.BAKE, "web1", "5 s against web3", also=("web2",), against=("web3",))
    plan = replace(
        PLAN,
        groups=(Group("bake after canary", ((bake,),)),),
        changes=(Change("LOG_LEVEL", None, "INFO"), Change("KEY", "***", "***"), Change("OLD", "1", None)),
        overview=(("sends", "18 files"), ("", "and more")),
    )
    judged = Verdict({}, "", {"web1": Seen(1100, 11, milliseconds=12.4, slack=3.6)}, Seen(2000, 2))
    records = (*RECORDS, Record(bake, 104.0, 109.0, "0 of 100 requests failed"))
    outcome = replace(OUTCOME, bakes={"web1": judged})
    page = render("r1", plan, records, outcome)
    for words in ("1,100", "11 (1 %)", "12 &plusmn; 4 ms", "2 (0.1 %)"):
        assert words in page
    told = as_json("r1", plan, records, outcome)["outcome"]["bakes"]["web1"]
    assert (told["new"]["web1"]["failed"], told["old"]["requests"]) == (11, 2000)
    for words in ("0 of 100 requests failed", "web1, web2", "18 files", "another value", "not there", "gone"):
        assert words in page
    assert "5 s against web3, with web2" in page
    rows = draw((Record(bake, 104.0, 109.0),), ()).rows
    assert [(host, [bar.kind for bar in bars]) for host, _, bars in rows] == [("web1", ["bake"]), ("web2", ["bake"])]


def test_hosts_are_in_the_order_of_their_numbers() -> None:
    records = tuple(Record(replace(STAGE, host=name), 1.0, 2.0) for name in ("web10", "web9", "lb1", "web"))
    assert [host for host, _, _ in draw(records, ()).rows] == ["lb1", "web", "web9", "web10"]


def test_the_drawing_is_sound_svg() -> None:
    page = render("r1", PLAN, RECORDS, OUTCOME)
    drawing = page[page.index("<svg viewBox") : page.index("</svg>") + 6]
    assert len(xml.dom.minidom.parseString(drawing).getElementsByTagName("polyline")) == 2  # noqa: S318  (our own)


def test_steps_lie_on_their_hosts_rows_in_the_order_of_time() -> None:
    drawing = draw(RECORDS, TIMELINE)
    assert [(host, [b.kind for b in bars]) for host, _, bars in drawing.rows] == [
        ("web1", ["stage", "drain"]),
        ("web2", ["switch"]),
    ]
    first, second = drawing.rows[0][2]
    assert first.x + first.width < second.x
    assert drawing.rows[1][2][0].failed


def test_an_empty_rollout_can_be_drawn() -> None:
    assert draw((), ()).rows == ()
    assert "not probed" in render("r1", replace(PLAN, groups=()), (), replace(OUTCOME, prober=None))


def test_before_is_what_came_until_the_first_turn() -> None:
    assert before(RECORDS, TIMELINE) == (2.0, 9.0)
    assert before(RECORDS, TIMELINE[1:]) is None


@pytest.mark.parametrize("more", [0, 3])
def test_old_reports_make_room(tmp_path: Path, more: int) -> None:
    for number in range(KEPT + more):
        (tmp_path / "staging").mkdir(exist_ok=True)
        (tmp_path / "staging" / f"{number:04}.html").touch()
        (tmp_path / "staging" / f"{number:04}.json").touch()
    page = write("9999", PLAN, RECORDS, OUTCOME, tmp_path)
    assert json.loads(page.with_suffix(".json").read_text())["steps"][2]["error"].endswith("died")
    assert len(list(page.parent.glob("*.html"))) == KEPT
    assert len(list(page.parent.glob("*.json"))) == KEPT
    assert page.exists()
