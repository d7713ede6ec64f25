"""What people and machines read of a rollout."""

from __future__ import annotations

import io
import json

from deploy.errors import Exit, SlipwayError
from deploy.plan import Group, Kind, Plan, Step, Target
from deploy.prober import Summary
from deploy.report import JsonReporter, Outcome, PlainReporter, Recorder, plan_as_json, plan_as_text

STAGE = Step(Kind.STAGE, "web1", "release is new here", files=1, bytes=1234)
SWITCH = Step(Kind.SWITCH, "web1", "1.0 -> 2.0")
PLAN = Plan(Target(2, "2.0", "d" * 64, "e" * 64), (Group("stage", ((STAGE,), (STAGE,))), Group("canary", ((SWITCH,),))))
PROBED = Summary(10, 0, 1.0, 2.0, 3.0, 2, 2, {})


def test_a_plan_says_what_where_in_what_order_why_and_how_much() -> None:
    assert plan_as_text("local", PLAN).splitlines() == [
        "local: 2.0 as generation 2, 3 steps",
        "stage, side by side:",
        "  stage    web1     release is new here (1 file, 1.2 kB to send)",
        "  stage    web1     release is new here (1 file, 1.2 kB to send)",
        "canary:",
        "  switch   web1     1.0 -> 2.0",
    ]


def test_what_identifies_the_variables_is_shown_nowhere() -> None:
    assert "e" * 64 not in json.dumps(plan_as_json(PLAN)) + plan_as_text("local", PLAN)


def test_plain_lines_have_a_step_each_with_its_duration_and_the_reason_of_a_failure() -> None:
    out = io.StringIO()
    reporter = PlainReporter(out)
    reporter.plan("local", PLAN)
    reporter.begin(STAGE)
    reporter.end(STAGE, 0.5, "1 file, 1.2 kB sent")
    error = SlipwayError("web1: it died")
    error.detail = "line 1\nline 2"  # type: ignore[attr-defined]
    reporter.failed(SWITCH, 1.25, error)
    reporter.outcome(Outcome(Exit.FAILED_UNCHANGED, "local", "failed", prober=PROBED, hint="fab status:local"))
    assert out.getvalue().splitlines() == [
        "local: 2.0 as generation 2, 3 steps",
        "  stage    web1       0.50 s  1 file, 1.2 kB sent",
        "  switch   web1       1.25 s  FAILED: web1: it died",
        "             | line 1",
        "             | line 2",
        "failed",
        "prober: 10 requests, 0 failed, p50 1 ms, p99 2 ms, worst 3 ms",
        "  -> fab status:local",
    ]


def test_how_long_a_bad_release_was_about_is_counted_from_its_first_start() -> None:
    recorder = Recorder(PlainReporter(io.StringIO()))
    assert recorder.found_after is None
    recorder.failed(STAGE, 1.0, SlipwayError("the disk is full"))
    assert recorder.found_after is None, "it never started"
    recorder = Recorder(PlainReporter(out := io.StringIO()))
    recorder.end(SWITCH, 2.0, "ready")
    recorder.failed(Step(Kind.BAKE, "web1", "compare"), 1.0, SlipwayError("worse"))
    assert recorder.found_after is not None
    assert recorder.found_after >= 2.0
    recorder.outcome(Outcome(Exit.FAILED_ROLLED_BACK, "local", "failed", found_after=7.25))
    assert out.getvalue().splitlines()[-1] == "  found out 7.2 s after its first start"


def test_a_machine_reads_an_object_a_line_and_the_outcome_last() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.plan("local", PLAN)
    reporter.begin(STAGE)
    reporter.end(STAGE, 0.5, "sent")
    reporter.outcome(Outcome(Exit.NOTHING_TO_DO, "local", "nothing to do", prober=PROBED))
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [e["event"] for e in events] == ["plan", "begin", "end", "outcome"]
    assert events[1]["step"]["host"] == "web1"
    assert (events[-1]["exit"], events[-1]["outcome"]) == (10, "nothing-to-do")
    assert events[-1]["prober"]["requests"] == 10


def test_a_recorder_keeps_what_was_done_when_and_the_slowest_host_of_each_kind() -> None:
    recorder = Recorder(PlainReporter(io.StringIO()))
    for seconds in (0.2, 0.7, 0.3):
        recorder.end(STAGE, seconds, "")
    recorder.failed(SWITCH, 9.0, SlipwayError("it died"))
    assert recorder.seconds == {"stage": 0.7}
    assert [(r.step, round(r.ended - r.begun, 3), r.error) for r in recorder.records[2:]] == [
        (STAGE, 0.3, ""),
        (SWITCH, 9.0, "it died"),
    ]
