"""Two deployers never both proceed: every interleaving of a small world, and long random ones of a larger.

The hosts decide with the agent's own functions; each deployer believes what its own tally says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.agent import lease
from deploy.agent.errors import AgentError
from deploy.quorum import Tally, majority

TTL = 2.0


@dataclass(frozen=True)
class Deployer:
    """What one deployer knows, and which of its questions are under way."""

    until: tuple[tuple[str, float], ...] = ()
    tokens: tuple[tuple[str, int], ...] = ()
    asked: tuple[tuple[str, str, float], ...] = ()  # host, what, when: not yet with the host
    lost: bool = False

    def tally(self, total: int) -> Tally:
        """Give what it counts with."""
        return Tally(total, TTL, dict(self.until))

    def proceeds(self, total: int, at: float) -> bool:
        """Say whether it would touch something now."""
        return not self.lost and self.tally(total).held(at)


@dataclass(frozen=True)
class World:
    """Hosts with their leases, deployers, and the time."""

    hosts: tuple[tuple[str, lease.Lease], ...]
    deployers: tuple[Deployer, ...]
    now: float = 0.0

    def moves(self) -> Iterator[tuple[str, ...]]:
        """List everything that may happen next."""
        yield ("tick",)
        for number, deployer in enumerate(self.deployers):
            waiting = {host for host, _, _ in deployer.asked}
            for host, _ in self.hosts:
                if host in waiting:
                    yield ("arrive", str(number), host)
                    yield ("vanish", str(number), host)
                elif not deployer.lost:
                    yield ("ask", str(number), host, "renew" if host in dict(deployer.until) else "acquire")
            if deployer.until and not waiting:
                yield ("leave", str(number))

    def after(self, move: tuple[str, ...]) -> World:
        """Let something happen."""
        if move[0] == "tick":
            return replace(self, now=self.now + 1.0)
        number = int(move[1])
        deployer = self.deployers[number]
        if move[0] == "ask":
            return self._with(number, replace(deployer, asked=(*deployer.asked, (move[2], move[3], self.now))))
        if move[0] == "leave":
            return self._left(number, deployer)
        (question,) = [q for q in deployer.asked if q[0] == move[2]]
        rest = replace(deployer, asked=tuple(q for q in deployer.asked if q is not question))
        return self._with(number, rest) if move[0] == "vanish" else self._answered(number, rest, question)

    def _answered(self, number: int, deployer: Deployer, question: tuple[str, str, float]) -> World:
        host, what, asked = question
        hosts, tally, tokens = dict(self.hosts), deployer.tally(len(self.hosts)), dict(deployer.tokens)
        owner = {"who": str(number)}
        try:
            if what == "acquire":
                at_least = max(tokens.values(), default=0)
                new = lease.acquire(hosts[host], owner, TTL, self.now, lambda owner: False, at_least)
            else:
                new = lease.renew(hosts[host], tokens[host], TTL, self.now)
        except AgentError as error:
            tally.refused(host)
            lost = deployer.lost or error.code == "lease-lost"
            return self._with(number, replace(deployer, until=tuple(sorted(tally.until.items())), lost=lost))
        tally.granted(host, asked)
        tokens[host] = new.token
        known = replace(deployer, until=tuple(sorted(tally.until.items())), tokens=tuple(sorted(tokens.items())))
        hosts[host] = new
        return replace(self._with(number, known), hosts=tuple(hosts.items()))

    def _left(self, number: int, deployer: Deployer) -> World:
        tokens = dict(deployer.tokens)
        hosts = {name: lease.release(found, tokens.get(name, -1)) for name, found in self.hosts}
        return replace(self._with(number, Deployer()), hosts=tuple(hosts.items()))

    def _with(self, number: int, deployer: Deployer) -> World:
        deployers = list(self.deployers)
        deployers[number] = deployer
        return replace(self, deployers=tuple(deployers))

    def check(self) -> None:
        """Insist that one deployer at most would touch something."""
        busy = [n for n, d in enumerate(self.deployers) if d.proceeds(len(self.hosts), self.now)]
        assert len(busy) <= 1, self


def world(hosts: int, deployers: int) -> World:
    """Begin: nobody holds anything."""
    return World(tuple((f"h{n}", lease.FREE) for n in range(hosts)), (Deployer(),) * deployers)


@dataclass
class Explored:
    """Worlds that were seen, and how often somebody held the lease in them."""

    seen: set[str] = field(default_factory=set)
    held: int = 0


def test_no_interleaving_of_a_small_world_lets_two_proceed() -> None:
    """Every order of questions, answers, lost messages, departures and time, as deep as it goes in a second or two."""
    explored = Explored()
    edge = [world(hosts=2, deployers=2)]
    for _ in range(9):
        following = []
        for place in edge:
            for move in place.moves():
                new = place.after(move)
                if repr(new) not in explored.seen and new.now <= 3:
                    explored.seen.add(repr(new))
                    new.check()
                    explored.held += any(d.proceeds(2, new.now) for d in new.deployers)
                    following.append(new)
        edge = following
        if len(explored.seen) > 60_000:
            break
    assert len(explored.seen) > 10_000
    assert explored.held > 100  # somebody got it, or nothing was shown


@settings(max_examples=150, deadline=None)
@given(choices=st.lists(st.integers(0, 10_000), max_size=200), hosts=st.integers(1, 5), deployers=st.integers(2, 3))
def test_long_histories_of_more_hosts_and_deployers(choices: list[int], hosts: int, deployers: int) -> None:
    place = world(hosts, deployers)
    numbers: set[tuple[int, int]] = set()
    for choice in choices:
        moves = list(place.moves())
        place = place.after(moves[choice % len(moves)])
        place.check()
        for number, deployer in enumerate(place.deployers):
            if deployer.proceeds(hosts, place.now):
                numbers.add((max(token for _, token in deployer.tokens), number))
    assert len({token for token, _ in numbers}) == len(numbers)  # no number was ever two deployers'


def test_a_check_that_can_t_fail_would_be_worth_nothing() -> None:
    """With half of the hosts instead of most, two do proceed."""
    place = world(hosts=2, deployers=2)
    for number in ("0", "1"):
        for move in (("ask", number, f"h{number}", "acquire"), ("arrive", number, f"h{number}")):
            place = place.after(move)
    half = [Tally(1, TTL, dict(d.until)).held(place.now) for d in place.deployers]
    assert half == [True, True]
    place.check()


@pytest.mark.parametrize(("total", "most"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (100, 51)])
def test_most(total: int, most: int) -> None:
    assert majority(total) == most


def test_it_is_believed_in_from_when_it_was_asked_for() -> None:
    tally = Tally(total=3, ttl=10)
    tally.granted("a", asked=0)
    assert not tally.held(1)
    tally.granted("b", asked=5)
    assert tally.held(9.9)
    assert not tally.held(10)
    tally.granted("a", asked=9)
    assert tally.held(14)
    tally.refused("b")
    assert not tally.held(9.5)
