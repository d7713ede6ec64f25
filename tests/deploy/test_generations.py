"""Choosing among generations: what runs, what number comes next, what one can go back to."""

from __future__ import annotations

from dataclasses import replace

from deploy.facts import Generation
from deploy.generations import number_generation, rollback_candidates, running_generation
from tests.deploy.test_plan import EMPTY, NEW, OLD, serving


def test_a_generation_keeps_its_number_and_a_new_one_gets_the_next() -> None:
    hosts = [serving("web1", generations=(OLD, NEW)), serving("web2")]
    assert number_generation(hosts, NEW.identity) == 2, "the newest"
    assert number_generation(hosts, OLD.identity) == 1, "the running one"
    assert number_generation(hosts, ("d3", "e1")) == 3
    later = [replace(h, generations=(OLD, NEW, replace(NEW, number=3, digest="d3")), current=3) for h in hosts]
    assert number_generation(later, OLD.identity) == 4, (
        "so that the one before the running one is the one that ran before"
    )
    assert number_generation([], ("d3", "e1")) == 1


def test_a_number_that_means_different_things_on_two_hosts_is_not_used_again() -> None:
    hosts = [serving("web1", generations=(OLD, NEW)), serving("web2", generations=(OLD, replace(NEW, digest="dX")))]
    assert number_generation(hosts, NEW.identity) == 3


def test_a_number_that_can_not_be_read_on_a_host_is_not_used_again() -> None:
    hosts = [serving("web1", generations=(OLD,), unreadable=(2,)), serving("web2", generations=(OLD, NEW))]
    assert number_generation(hosts, NEW.identity) == 3


def test_going_back_leads_to_what_ran_last_before() -> None:
    again = replace(NEW, number=2, activated=50.0)  # gone back to, after 3
    third = replace(OLD, number=3, digest="d3", activated=30.0)
    fourth = replace(OLD, number=4, digest="d4", activated=60.0)
    hosts = [serving("web1", fourth, generations=(OLD, again, third, fourth)), replace(EMPTY, name="web2")]
    assert [g.number for g in rollback_candidates(hosts)] == [2, 3, 1]


def test_one_can_go_back_to_what_was_ready_on_every_host() -> None:
    ready = replace(NEW, activated=20.0)
    third = Generation(3, "3.0", "d3", "e1", activated=30.0)
    hosts = [
        serving("web1", third, generations=(OLD, ready, third)),
        serving("web2", third, generations=(OLD, NEW, third)),
    ]
    assert running_generation(hosts) == 3
    assert [g.number for g in rollback_candidates(hosts)] == [1]
    assert rollback_candidates([EMPTY]) == []
