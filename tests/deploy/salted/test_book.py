"""What the relay on a salt-master decides: order, silence, and what answers mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.salted.book import MISSED, Book, Request, batch, understand

OK = json.dumps({"id": 1, "ok": True, "result": {}})
EVENT = json.dumps({"id": 1, "event": "waiting", "detail": 'until "ok": soon'})


def request(session: int, host: str = "web1", number: int = 1) -> Request:
    return Request(session, host, {"id": number, "verb": "status"})


@given(st.lists(st.integers(1, 4), max_size=30))
def test_requests_of_a_session_are_done_in_order_and_one_at_a_time(sessions: list[int]) -> None:
    book, told, answered = Book(15), [], []
    for number, session in enumerate(sessions):
        ready = book.add(request(session, f"web{session}", number))
        if ready:
            book.begin(f"job{number}", ready, 0.0)
            told.append((f"job{number}", ready))
    assert [each.session for _, each in told] == list(dict.fromkeys(sessions))
    while told:
        job, each = told.pop()
        done, following = book.end(job, each.host)
        assert done == each
        answered.append(each)
        if following:
            book.begin(f"{job}+", following, 0.0)
            told.append((f"{job}+", following))
    for session in set(sessions):
        mine = [each.body["id"] for each in answered if each.session == session]
        assert mine == [number for number, asked in enumerate(sessions) if asked == session]
    assert not book.waiting
    assert not book.running


def test_one_job_carries_one_request_a_host() -> None:
    first, other, again = request(1), request(2, "web2"), request(3)
    assert batch([first, other, again]) == ([first, other], [again])


def test_requests_that_wait_behind_one_go_along_but_for_those_with_bytes() -> None:
    book = Book(15)
    first = book.add(request(1, number=1))
    assert first
    assert book.gather(first) == first
    more = [request(1, number=2), request(1, number=3)._replace(payload="sha"), request(1, number=4)]
    assert [book.add(each) for each in more] == [None] * 3
    together = book.gather(first)
    assert [body["id"] for body in together.bodies] == [1, 2]
    book.begin("job", together, 0.0)
    _, bytes_ = book.end("job", "web1")
    assert bytes_
    assert [body["id"] for body in book.gather(bytes_).bodies] == [3]


def test_each_of_several_requests_needs_its_answer() -> None:
    second = OK.replace("1", "2")
    assert understand("web1", {"lines": [OK, second], "status": 0, "said": ""}, 2) == ([OK, second], None)
    lines, problem = understand("web1", {"lines": [OK], "status": 1, "said": "MemoryError"}, 2)
    assert lines == [OK]
    assert problem
    assert problem["message"] == "web1: the agent ended with 1: MemoryError"


def test_a_silent_minion_is_looked_at_and_then_given_up() -> None:
    book = Book(15)
    book.begin("job", request(1), 100.0)
    assert (book.quiet(104.9), book.dead(114.9)) == (set(), [])
    assert book.quiet(105.0) == {"web1"}
    assert [run.request for run in book.dead(115.0)] == [request(1)]
    assert book.seen("web1", {"job"}, 105.0, 106.0) == ([request(1)], [])
    assert (book.quiet(110.9), book.dead(120.9)) == (set(), [])


def test_a_request_that_a_minion_has_lost_is_given_up_but_not_one_whose_answer_is_on_the_way() -> None:
    book = Book(15)
    book.begin("job", request(1), 100.0)
    for _ in range(2 * MISSED):
        assert book.seen("web1", set(), 99.0, 106.0) == ([], [])  # it was asked before the job began
    for _ in range(MISSED - 1):
        assert book.seen("web1", set(), 105.0, 106.0) == ([], [])
    assert book.seen("web1", set(), 111.0, 112.0) == ([], [request(1)])


def test_a_session_that_is_given_up_leaves_nothing() -> None:
    book = Book(15)
    for number in (1, 2):
        book.add(request(1, number=number))
    book.begin("job", request(1), 0.0)
    book.give_up(1)
    assert book.end("job", "web1") == (None, None)
    assert book.add(request(1)) == request(1)


def test_the_agents_answer_is_passed_on() -> None:
    assert understand("web1", {"lines": [EVENT, OK, ""], "status": 0, "said": ""}) == ([EVENT, OK], None)


@pytest.mark.parametrize(
    ("returned", "message", "code"),
    [
        ("'release.call' is not available.", "its salt-minion has no module `release`", None),
        ("Traceback ...\nKeyError: 'web1'", "release.call failed: KeyError: 'web1'", None),
        ({"lines": [], "status": 127, "said": "/usr/lib/x/releasectl"}, "no agent (/usr/lib/x/releasectl)", "no-agent"),
        ({"lines": [EVENT], "status": -9, "said": "a\nb"}, "the agent ended with -9: b", None),
        ({"lines": ["Killed"], "status": 1, "said": ""}, "the agent ended with 1: nothing", None),
        (None, "release.call failed: None", None),
    ],
)
def test_what_is_no_answer_of_the_agent_is_explained(returned: object, message: str, code: str | None) -> None:
    _, problem = understand("web1", returned)
    assert problem
    assert problem["message"].startswith("web1: ")
    assert message in problem["message"]
    assert problem.get("code") == code
