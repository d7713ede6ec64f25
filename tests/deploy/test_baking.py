"""What a bake sees beside HAProxy's sums: processes that were started anew, and requests that wait for ever."""

from __future__ import annotations

import pytest

from deploy.bake import Counters, Seen
from deploy.baking import Alive, Stuck, alive, started_anew

RUNS = Alive(100, frozenset({101, 102}))
ITSELF = {"web 2": RUNS}


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
    assert alive({"processes": said}) == {"web 2": RUNS, "mailer 2": Alive(300, restarts=4)}


def test_requests_that_wait_count_with_the_time_they_have_waited() -> None:
    stuck, seen = Stuck(), {"web1": Seen(), "web2": Seen(10, milliseconds=5.0, timed=10)}
    busy = [{"web1": Counters(waiting=2), "web2": Counters(answers=n, waiting=1)} for n in range(4)]
    for now, counted in enumerate(busy):
        stuck.look([counted], float(now))
    assert stuck.of(seen) == {"web1": Seen(2, milliseconds=3000.0, timed=2), "web2": seen["web2"]}
    stuck.look([{"web1": Counters(answers=1, waiting=2), "web2": Counters()}], 4.0)
    assert stuck.of(seen) == seen, "an answer came"


def test_one_load_balancer_that_answers_is_enough_to_know_that_a_server_does() -> None:
    stuck = Stuck()
    for now in range(3):
        stuck.look([{"web1": Counters(waiting=2)}, {"web1": Counters(answers=now, waiting=1)}], float(now))
    assert stuck.of({"web1": Seen()}) == {"web1": Seen()}
