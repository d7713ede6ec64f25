"""A disk that is full, read-only or slow: an error that says so, nothing half made, and the same again mends it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from deploy.agent.layout import Layout
from tests.deploy.agent.crash import is_effect
from tests.deploy.agent.kit import AgentFailure, call
from tests.deploy.agent.test_crash import SCENES, described, nothing_is_half_made, play
from tests.support.volume import Volume, volume

FAULTS = {"full": Volume.fill, "no inode": Volume.use_inodes}
FULL, READ_ONLY = "disk-full", "read-only"
WENT_WELL, TOOK_NO_HARM, SAID_SO, ELSE = 0, 10, 11, 12


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    """Give a disk."""
    with volume(tmp_path_factory.mktemp("disk")) as made:
        yield made


def break_at(k: int, code: str, fault: Callable[[], None], work: Callable[[], object]) -> int:
    """Do the work in a child for which the disk fails just before its k-th effect, and stays so; tell how it ended."""
    pid = os.fork()
    if pid == 0:
        left = k

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if left >= 0 and is_effect(event, arguments):
                left -= 1
                if left < 0:
                    fault()

        try:
            sys.addaudithook(hook)
            work()
            os._exit(TOOK_NO_HARM if left < 0 else WENT_WELL)
        except AgentFailure as error:
            if error.code != code:
                os.write(2, f"at effect {k}: {error}\n".encode())
            os._exit(SAID_SO if error.code == code else ELSE)
        except BaseException as error:
            os.write(2, f"at effect {k}: {error!r}\n".encode())
            os._exit(ELSE)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_each_effect(
    disk: Volume, scene: str, code: str, fault: Callable[[], None], undo: Callable[[], None]
) -> list[int]:
    """Break a verb at each of its effects, undo that, and try again; give how it ended each time."""
    before, request = SCENES[scene]
    reference = Layout.under(disk.path / "reference")
    reference.make()
    play(reference, [*before, request])
    wanted = described(reference)
    shutil.rmtree(reference.base)
    ends = []
    while WENT_WELL not in ends:
        k, layout = len(ends), Layout.under(disk.path / "broken")
        layout.make()
        play(layout, before)
        disk.write_out()
        ends.append(break_at(k, code, fault, partial(call, layout, **request)))
        assert ends[-1] != ELSE, f"at effect {k}: expected {code}"
        undo()
        nothing_is_half_made(layout)
        call(layout, **request)
        assert described(layout) == wanted, f"at effect {k}"
        shutil.rmtree(layout.base)
    assert len(ends) < 1000
    return ends


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scene", SCENES)
def test_it_says_so_and_the_same_again_mends_it(
    disk: Volume, scene: str, fault: str, record_property: Callable[[str, object], None]
) -> None:
    ends = at_each_effect(disk, scene, FULL, lambda: FAULTS[fault](disk), disk.heal)
    assert {SAID_SO, TOOK_NO_HARM} & {*ends}, "what only links and removes needs no room"
    record_property("cases", len(ends) - 1)


@pytest.mark.parametrize("scene", SCENES)
def test_a_disk_that_becomes_read_only_on_the_way(
    disk: Volume, scene: str, record_property: Callable[[str, object], None]
) -> None:
    """As when the kernel finds an error in it. Checked and mounted again, it has nothing half made."""
    ends = at_each_effect(disk, scene, READ_ONLY, disk.fail, disk.repair)
    assert SAID_SO in ends
    record_property("cases", len(ends) - 1)


@pytest.mark.parametrize("scene", SCENES)
def test_a_disk_that_is_read_only_is_said_to_be_so(disk: Volume, scene: str) -> None:
    before, request = SCENES[scene]
    layout = Layout.under(disk.path / "still")
    layout.make()
    play(layout, before)
    was = described(layout)
    with disk.read_only(), pytest.raises(AgentFailure) as caught:
        call(layout, **request)
    assert caught.value.code == "read-only"
    assert described(layout) == was
    call(layout, **request)
    shutil.rmtree(layout.base)


def test_a_slow_disk_changes_nothing(disk: Volume) -> None:
    """As slow as one that does 20 writes a second: all verbs end as they do on a quick one."""
    for before, request in SCENES.values():
        found = []
        for writes in (100_000, 20):
            layout = Layout.under(disk.path / "slow")
            layout.make()
            play(layout, before)
            with disk.slow(writes):
                call(layout, **request)
            found.append(described(layout))
            shutil.rmtree(layout.base)
        assert found[0] == found[1]
