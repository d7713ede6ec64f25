"""What a bake sees beside HAProxy's sums: processes that were started anew, and requests that wait for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.bake import Counters, Seen
from deploy.baking import Alive, Processes, Stuck, alive, started_anew

RUNS = Alive(100, frozenset({101, 102}))
ITSELF = {"web 2": RUNS}
PLACE = (0, "app")  # a load balancer, and a backend


@pytest.mark.parametrize(
    ("after", "count"),
    [
        (ITSELF, 0),
        ({"web 2": Alive(100, frozenset({101, 107}))}, 1),
        ({"web 2": Alive(100, frozenset({107, 108, 109}))}, 2),
        ({"web 2": Alive(200, frozenset({201, 202}))}, 1),
        ({"web 2": Alive(200, restarts=3)}, 3),
        ({}, 1),
        ({**ITSELF, "web 3": Alive(300)}, 0),
    ],
)
def test_what_was_started_anew_is_counted(after: dict[str, Alive], count: int) -> None:
    assert started_anew(ITSELF, after) == count


def test_what_lives_is_what_the_agent_says() -> None:
    said = [
        {"generation": 2, "process": "web", "pid": 100, "children": [101, 102], "restarts": 0},
        {"generation": 2, "process": "mailer", "pid": 300, "restarts": 4},
    ]
    leaving = {"generation": 1, "process": "mailer", "pid": 200, "restarts": 0}
    assert alive({"processes": [*said, leaving], "current": 2}) == {"web 2": RUNS, "mailer 2": Alive(300, restarts=4)}


class OneAnswer:
    """Stands for a host's agent: says what runs there."""

    def __init__(self, *children: int) -> None:
        self.children = children

    def call(self, verb: str, **_: object) -> dict[str, object]:
        assert verb == "status"
        web = {"generation": 2, "process": "web", "pid": 100, "children": self.children}
        return {"current": 2, "processes": [web]}


class TwoHosts:
    """Stands for the hosts of an environment, all of which answer."""

    def __init__(self) -> None:
        self.agents = {"web1": OneAnswer(101, 102), "web2": OneAnswer(201)}

    def attempt(self, ask: Callable[[str, Any], Any], agents: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {name: ask(name, agent) for name, agent in agents.items()}, {}


@pytest.mark.parametrize(("before", "restarts"), [(frozenset({101, 102}), 0), (frozenset({98, 99}), 2)])
def test_a_worker_that_died_before_the_first_look_counts_if_it_was_known(before: frozenset[int], restarts: int) -> None:
    """It dies of the first request, and the window begins after that."""
    known = {"web1": {"web 2": Alive(100, before)}}
    found = Processes(TwoHosts(), ["web1"], ["web2"], known)  # type: ignore[arg-type]
    assert {name: seen.restarts for name, seen in found.of({"web1": Seen(), "web2": Seen()}).items()} == {
        "web1": restarts,
        "web2": 0,
    }


def test_requests_that_wait_count_with_the_time_they_have_waited() -> None:
    stuck, seen = Stuck(), {"web1": Seen(), "web2": Seen(10, milliseconds=5.0, timed=10)}
    busy = [{"web1": Counters(waiting=2), "web2": Counters(answers=n, waiting=1)} for n in range(4)]
    for now, counted in enumerate(busy):
        stuck.look({PLACE: counted}, float(now))
    assert stuck.of(seen) == {"web1": Seen(2, milliseconds=3000.0, timed=2), "web2": seen["web2"]}
    stuck.look({PLACE: {"web1": Counters(answers=1, waiting=2), "web2": Counters()}}, 4.0)
    assert stuck.of(seen) == seen, "an answer came"


def test_one_load_balancer_that_answers_is_enough_to_know_that_a_server_does() -> None:
    stuck = Stuck()
    for now in range(3):
        silent, answering = Counters(waiting=2), Counters(answers=now, waiting=1)
        stuck.look({PLACE: {"web1": silent}, (1, "app"): {"web1": answering}}, float(now))
    assert stuck.of({"web1": Seen()}) == {"web1": Seen()}
