"""A plan that was kept is carried out as it was read, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.plan import Group, Kind, Plan, Step, Target
from deploy.saved_plan import SavedPlanError, read, save

STAGE = Step(Kind.STAGE, "web1", "release is new here", files=3, bytes=1234)
SWITCH = Step(Kind.SWITCH, "web1", "1.0 -> 2.0")
PLAN = Plan(Target(2, "2.0", "d" * 64, "e" * 64), (Group("stage", ((STAGE,),)), Group("canary", ((SWITCH,),))))


def test_the_same_plan_passes_and_what_is_sent_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "plan", "staging", PLAN)
    saved = read(tmp_path / "plan")
    assert saved.version == "2.0"
    saved.require("staging", PLAN)
    less = replace(PLAN, groups=(Group("stage", ((replace(STAGE, files=1, bytes=10),),)), PLAN.groups[1]))
    saved.require("staging", less)


def test_what_was_done_already_may_be_typed_again(tmp_path: Path) -> None:
    save(tmp_path / "plan", "staging", PLAN)
    read(tmp_path / "plan").require("staging", replace(PLAN, groups=()))


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(PLAN, target=replace(PLAN.target, version="2.1")), "the release was 2.0 and is 2.1"),
        (replace(PLAN, target=replace(PLAN.target, digest="f" * 64)), "the release's bytes"),
        (replace(PLAN, target=replace(PLAN.target, generation=3)), "the generation was 2 and is 3"),
        (replace(PLAN, target=replace(PLAN.target, env_digest="f" * 64)), "the variables have changed"),
        (replace(PLAN, groups=PLAN.groups[:1]), "it has `canary: switch web1: 1.0 -> 2.0`"),
        (replace(PLAN, groups=(*PLAN.groups, Group("finish", ((SWITCH,),)))), "it lacks `finish: switch web1"),
        (replace(PLAN, groups=PLAN.groups[::-1]), "the order of the steps"),
    ],
)
def test_whatever_has_moved_is_named(tmp_path: Path, now: Plan, says: str) -> None:
    save(tmp_path / "plan", "staging", PLAN)
    with pytest.raises(SavedPlanError) as raised:
        read(tmp_path / "plan").require("staging", now)
    assert says in raised.value.message
    assert "nothing was touched" in raised.value.message
    assert "fab plan:staging --out" in str(raised.value.hint)


def test_a_plan_of_another_environment_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "plan", "staging", PLAN)
    with pytest.raises(SavedPlanError, match="it is about staging"):
        read(tmp_path / "plan").require("production", PLAN)


def test_the_file_tells_nothing_of_the_variables(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(tmp_path / name, "staging", PLAN)
    assert "e" * 64 not in (tmp_path / "one").read_text()
    assert read(tmp_path / "one").mark != read(tmp_path / "two").mark


@given(st.one_of(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3).map(str)))
def test_no_other_file_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-plan"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SavedPlanError):
        read(path)


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SavedPlanError, match="No such file"):
        read(tmp_path / "none")
