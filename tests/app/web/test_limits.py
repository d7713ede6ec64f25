import json

import pytest
from limits.storage import MemoryStorage
from limits.storage.base import Storage

from app.web.limits import Rate, RateLimits, Standing, TooManyRequests, address_key
from app.web.problems import problem_of


@pytest.mark.parametrize(
    ("text", "rate"),
    [("600/minute", Rate(600, 60)), ("1/second", Rate(1, 1)), ("9/day", Rate(9, 86400)), ("off", None)],
)
def test_rates_read_like_words(text: str, rate: Rate | None) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "0/minute", "10", "10/week", "10 / minute", "-1/day", "OFF"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        Rate.parse(text)


def test_everybody_has_their_own_count_in_each_policy() -> None:
    limits = RateLimits({"api": Rate(2, 86400), "login": Rate(1, 86400)}, MemoryStorage)
    standings = [limits.take("api", "a") for _ in range(4)]
    assert [(standing.allowed, standing.remaining) for standing in standings if standing] == [
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    for policy, who in (("api", "b"), ("login", "a")):
        standing = limits.take(policy, who)
        assert standing is not None
        assert standing.allowed


def test_where_there_is_no_limit_nothing_is_counted() -> None:
    def nothing() -> Storage:
        raise AssertionError("no storage is needed")

    assert RateLimits({"api": None}, nothing).take("api", "a") is None
    assert RateLimits({}, nothing).take("api", "a") is None


def test_whoever_asks_is_let_in_when_nobody_can_count(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Storage:
        raise ConnectionError("refused")

    assert RateLimits({"api": Rate(1, 60)}, broken).take("api", "a") is None
    assert "refused" in caplog.text


def test_the_standard_headers() -> None:
    standing = Standing("api", Rate(600, 60), True, 599, 12)
    assert standing.headers == {"RateLimit-Policy": '"api";q=600;w=60', "RateLimit": '"api";r=599;t=12'}


def test_too_many_is_a_problem_that_says_when_to_come_back() -> None:
    response = problem_of(TooManyRequests(Standing("api", Rate(600, 60), False, 0, 12)))
    assert (response.status, response.headers["Retry-After"]) == (429, "12")
    assert response.headers["RateLimit"] == '"api";r=0;t=12'
    content = json.loads(response.body)
    assert content["type"].endswith("#quota-exceeded")
    assert content["violated-policies"] == ["api"]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "address:192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::"),
        ("2001:db8:1:2::9", "address:2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "address:192.0.2.1"),
        ("", "address:unknown"),
        ("unix:", "address:unknown"),
    ],
)
def test_an_address_is_whoever_has_it(address: str, key: str) -> None:
    assert address_key(address) == key
