"""The judge of a bake: numbers in, a verdict out. Each thing that is worse, with its twin that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.bake import (
    CHANCE,
    SAMPLES,
    Counters,
    Limits,
    Seen,
    Verdict,
    judge,
    percent,
    settled,
    since,
    together,
    usual,
)

GOOD = Seen(requests=1000, failed=1, milliseconds=10, slack=1, timed=1000, memory=200_000_000)
OLD = {"web2": GOOD, "web3": GOOD}
NEW = Seen(requests=200, milliseconds=12, slack=1, timed=200)


def answered(requests: int, milliseconds: float, failed: int = 0) -> Seen:
    """Make what a server did that answered everything in some time."""
    return Seen(requests, failed, milliseconds=milliseconds, timed=requests)


def verdict(**new: Seen) -> Verdict:
    """Judge new servers by good old ones, at the end of a window."""
    return judge(OLD, new, Limits())


def test_a_release_as_good_as_the_one_before_passes_and_the_figures_are_told() -> None:
    said = "0 of 200 requests failed, 12 ms; the others: 2 of 2000, 10 ms"
    assert verdict(web1=NEW) == Verdict({}, said, {"web1": NEW}, together(OLD.values()))


def test_a_time_that_is_not_known_well_is_told_so() -> None:
    assert ", at most 21 ms; " in verdict(web1=replace(NEW, milliseconds=12, slack=9)).said
    assert ", 112 ms; " in verdict(web1=replace(NEW, milliseconds=112, slack=9)).said


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (
            replace(NEW, failed=12),
            "web1: 12 of 200 requests failed (6 %), of the others' 0.1 %: worse than the 0.5 % more that is allowed",
        ),
        (
            replace(NEW, retries=30),
            "web1: 30 connections tried again for 200 requests, of the others' 0 %: worse than the 5 % that is allowed",
        ),
        (
            replace(NEW, restarts=1),
            "web1: a process was started anew, at the others none: none more is allowed",
        ),
        (
            replace(NEW, memory=500_000_000),
            "web1: a worker has 500.0 MB of memory, at the others 200.0 MB: more than the 2 times that is allowed",
        ),
        (
            replace(NEW, down="L7STS"),
            "web1: the load balancer's check finds it down (L7STS), and none of the others",
        ),
        (
            replace(NEW, milliseconds=90),
            "web1: answers after 90 ms (200 requests), the others after 10 ms: slower than the 2 times that is allowed",
        ),
    ],
)
def test_what_is_worse_is_told_with_its_figures(seen: Seen, says: str) -> None:
    found = verdict(web1=seen)
    assert found.reasons == (says,)
    assert list(found.worse) == ["web1"]


@pytest.mark.parametrize(
    "seen",
    [
        replace(NEW, failed=2),
        replace(NEW, retries=10),
        replace(NEW, milliseconds=60),  # six times, and not 50 ms more
        replace(NEW, milliseconds=90, slack=40),  # nobody knows: it may be 50
        answered(19, 60, failed=19),
        answered(5, 200),
        answered(1, 1000),
        Seen(),
    ],
)
def test_what_is_little_or_uncertain_is_not_worse(seen: Seen) -> None:
    assert not verdict(web1=seen).worse


def test_what_old_servers_do_as_well_is_not_the_release() -> None:
    ill = {"web2": replace(GOOD, failed=100, retries=100, restarts=2, milliseconds=500)}
    as_ill = {"web1": replace(NEW, failed=20, retries=20, restarts=2, milliseconds=500)}
    assert not judge(ill, as_ill, Limits()).worse
    down = replace(NEW, down="L7STS")
    assert not judge({"web2": replace(GOOD, down="L4CON")}, {"web1": down}, Limits()).worse
    assert judge(OLD, as_ill, Limits()).worse


def test_servers_with_few_requests_are_judged_together() -> None:
    few = Seen(requests=15, failed=3)
    found = verdict(web1=few, web4=few, web5=NEW)
    assert set(found.worse) == {"web1", "web4"}
    (reason,) = found.reasons
    assert reason.startswith("web1, web4: 6 of 30 requests failed (20 %)")
    assert not verdict(web1=few, web5=NEW).worse, "one alone"


def test_without_old_servers_the_time_before_is_what_counts() -> None:
    new = {"web1": replace(NEW, failed=20)}
    assert judge({}, new, Limits()).worse
    assert not judge({}, new, Limits(), before=Seen(requests=100, failed=10)).worse
    assert judge(OLD, new, Limits(), before=Seen(requests=100, failed=10)).worse, "they had requests enough"
    assert "nothing to compare with" in judge({}, {"web1": NEW}, Limits()).said


def test_what_was_usual_before_is_known_of_many_answers_even_if_the_time_before_was_short() -> None:
    before = replace(usual(Counters(answers=300, milliseconds=5)), requests=12)
    slow = {"web1": answered(20, 207)}
    assert judge({}, slow, Limits(), before=before).worse
    assert not judge({}, {"web1": answered(20, 12)}, Limits(), before=before).worse
    assert usual(Counters()) == Seen()
    assert usual(Counters(answers=9000, milliseconds=5)) == Seen(milliseconds=4.5, slack=0.5, timed=512)


def test_too_few_requests_are_said_to_be_so_and_restarts_count_nevertheless() -> None:
    found = verdict(web1=Seen(requests=3, failed=3, restarts=4))
    assert found.said == "3 requests, fewer than the 20 that a verdict on failures needs"
    assert found.reasons == ("web1: processes were, 4 times, started anew, at the others none: none more is allowed",)


def test_a_server_is_slow_even_if_few_can_tell() -> None:
    """Users wait for it, so it gets few requests; the fewer, the slower it has to be."""
    assert verdict(web1=answered(10, 120)).worse
    assert verdict(web1=answered(1, 1100)).worse


def test_how_slow_it_is_at_first_does_not_count_when_enough_came_later() -> None:
    whole = Seen(100, 2, milliseconds=300, slack=1, timed=100)
    assert settled(whole, answered(40, 12), Limits()) == replace(whole, milliseconds=12, slack=0, timed=40)
    assert settled(whole, answered(19, 12), Limits()) == whole


def test_before_the_end_only_what_can_not_become_good_any_more_counts() -> None:
    early = {"web1": answered(20, 900, failed=4)}
    assert judge(OLD, early, Limits()).worse
    assert not judge(OLD, early, Limits(), elapsed=0.02).worse, "of 1,000 until the end, 4 are little"
    assert len(judge(OLD, early, Limits(), elapsed=0.5).reasons) == 1, "how slow it is, is known in the end"


seen = st.builds(
    Seen,
    requests=st.integers(0, 10**6),
    failed=st.integers(0, 100),
    retries=st.integers(0, 100),
    restarts=st.integers(0, 5),
    milliseconds=st.none() | st.floats(0, 10**4),
    slack=st.floats(0, 100),
    timed=st.integers(0, 1000),
)
servers = st.dictionaries(st.sampled_from([f"web{i}" for i in range(6)]), seen, max_size=6)


@given(servers, seen, st.floats(0, 1))
def test_a_server_is_never_worse_than_itself(old: dict[str, Seen], one: Seen, elapsed: float) -> None:
    known = {**old, "web9": one}
    assert not judge({"web9": one}, {"web1": one}, Limits(), elapsed).worse
    assert not judge(known, {}, Limits(), elapsed).worse


@given(servers, servers, st.integers(1, 1000), st.floats(0.01, 1))
def test_one_more_failure_never_makes_a_verdict_better(
    old: dict[str, Seen], new: dict[str, Seen], more: int, elapsed: float
) -> None:
    before = judge(old, new, Limits(), elapsed)
    for name, each in new.items():
        again = judge(old, {**new, name: replace(each, failed=each.failed + more)}, Limits(), elapsed)
        assert set(before.worse) <= set(again.worse)


@given(servers, servers, st.floats(0.01, 0.99))
def test_what_is_clear_early_is_still_so_at_the_same_rate_in_the_end(
    old: dict[str, Seen], new: dict[str, Seen], elapsed: float
) -> None:
    early = judge(old, new, Limits(), elapsed)
    # The rest of the window without a single failure.
    rest = {n: replace(s, requests=int(s.requests / elapsed)) for n, s in new.items()}
    if all(s.requests >= Limits().requests for s in new.values()):
        assert set(early.worse) <= set(judge(old, rest, Limits()).worse)


# What HAProxy counts.


def haproxy(times: list[int]) -> int:
    """Average as HAProxy 2.6 does it: swrate_add_dynamic() and swrate_avg() of its freq_ctr.h."""
    total = 0
    for number, time in enumerate(times, start=1):
        total = total + time if number <= SAMPLES else total - (total + SAMPLES - 1) // SAMPLES + time
    window = min(len(times), SAMPLES)
    return (total + window - 1) // window


times = st.lists(st.integers(0, 3000), min_size=1, max_size=400)


@given(st.integers(0, 2000), st.integers(0, 200), times)
def test_the_mean_of_a_window_is_found_in_a_sliding_average_and_so_is_how_uncertain_it_is(
    earlier: int, usual: int, now: list[int]
) -> None:
    past = [usual] * earlier
    found = since(
        Counters(answers=earlier, milliseconds=haproxy(past) if past else 0),
        Counters(answers=earlier + len(now), milliseconds=haproxy(past + now)),
    )
    assert found.milliseconds is not None
    assert min(now) - found.slack - 3 <= found.milliseconds <= max(now) + found.slack + 3


def test_the_more_requests_the_surer_the_mean() -> None:
    past = [4] * 700
    few, many = (
        since(Counters(700, milliseconds=4), Counters(700 + n, milliseconds=haproxy(past + [51] * n)))
        for n in (50, 500)
    )
    assert few.milliseconds == pytest.approx(51, abs=few.slack + 1)
    assert many.milliseconds == pytest.approx(51, abs=many.slack + 1)
    assert few.slack > 5 * many.slack


def test_a_request_without_an_answer_failed() -> None:
    found = since(Counters(10, 1, 1), Counters(30, 3, 4))
    assert (found.requests, found.failed) == (23, 5)


def test_nothing_between_two_looks_is_nothing() -> None:
    assert since(Counters(10, 1, 1, 1, 5), Counters(10, 1, 1, 1, 5)) == Seen()


def test_a_load_balancer_that_was_reloaded_counts_from_nothing() -> None:
    assert since(Counters(1000, 50, 3, 9, 50), Counters(8, 1, 0, 0, 20)).requests == 8


def test_several_load_balancers_are_one() -> None:
    both = together([Seen(10, 1, 2, 0, "", 10.0, 1.0, 10), Seen(30, 0, 0, 1, "", 30.0, 2.0, 30), Seen(5, 5)])
    assert both == Seen(45, 6, 2, 1, milliseconds=25.0, slack=1.75, timed=40)
    assert together([]) == Seen()


@pytest.mark.parametrize(("share", "text"), [(0.06, "6 %"), (0.001, "0.1 %"), (0.5, "50 %"), (0, "0 %"), (1, "100 %")])
def test_shares_are_told_in_few_digits(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_mishap_is_chance_and_a_few_are_not() -> None:
    new = Seen(requests=20)
    assert not verdict(web1=replace(new, failed=CHANCE)).worse
    assert verdict(web1=replace(new, failed=CHANCE + 1)).worse
