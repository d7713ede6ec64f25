"""What is not as it should be, host by host; nothing where all is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.drift import drift
from deploy.facts import Generation, Host, Process, Release

RELEASE = Release("1.0", "d" * 64, complete=True)
GENERATION = Generation(4, "1.0", "d" * 64, "e" * 64, activated=1000.0, created=990.0)
FINE = Host(
    "web1", "127.0.0.1:1", releases=(RELEASE,), generations=(GENERATION,), current=4,
    processes=(Process(4, 7, True, since=995.0),),
)  # fmt: skip


def test_nothing_differs_where_all_is_as_it_was_brought() -> None:
    assert drift([FINE], "e" * 64) == []
    assert drift([FINE], None) == []
    assert drift([Host("web2", "127.0.0.1:2")], "e" * 64) == [], "nothing runs there yet"
    assert drift([Host("web2", "127.0.0.1:2", problem="it is dead")], "e" * 64) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"releases": (replace(RELEASE, complete=False),)}, "files of 1.0 are missing or altered"),
        ({"releases": ()}, "files of 1.0 are missing or altered"),
        ({"releases": (replace(RELEASE, digest="f" * 64),)}, "1.0 is not the one that generation 4 was made of"),
        ({"processes": (*FINE.processes, Process(3, 6, True))}, "generation 3 still runs beside 4"),
        ({"processes": (Process(4, 7, True, since=900.0),)}, "its processes are older than generation 4"),
        ({"generations": (replace(GENERATION, env_digest="0" * 64),)}, "its variables are not the wanted ones"),
    ],
)
def test_each_difference_is_named(changed: dict[str, object], said: str) -> None:
    assert drift([replace(FINE, **changed), FINE], "e" * 64) == [f"web1: {said}"]  # type: ignore[arg-type]
