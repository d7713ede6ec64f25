"""Limits of processes: no descriptor left for the agent, a worker that the kernel kills for its memory."""

from __future__ import annotations

import http.client
import os
import resource
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from deploy.agent.layout import Layout
from deploy.fleet.base import obstacle
from tests.deploy.agent.kit import AgentFailure, call, eventually
from tests.deploy.agent.test_crash import SCENES, described, nothing_is_half_made, play
from tests.local.conftest import Site, own_site
from tests.support import releases

MEMORY = Path("/sys/fs/cgroup/memory")  # control groups of Linux's first kind
SAID_SO, WENT_WELL, ELSE = 10, 0, 1
WSGI = '''

_plain = respond


def respond(path, environ):
    """Eat memory on demand."""
    if path == "/eat":
        kept = []
        while True:
            kept.append(b"x" * 10_000_000)
    return _plain(path, environ)
'''


@pytest.mark.parametrize("scene", SCENES)
def test_the_agent_says_that_it_has_no_descriptor_left(
    tmp_path: Path, scene: str, record_property: Callable[[str, object], None]
) -> None:
    """With one more each time, until it is enough: nothing is half made, and the same again mends it."""
    before, request = SCENES[scene]
    reference = Layout.under(tmp_path / "reference")
    reference.make()
    play(reference, [*before, request])
    ends = []
    for more in range(100):
        layout = Layout.under(tmp_path / str(more))
        layout.make()
        play(layout, before)
        ends.append(_with_descriptors(more, partial(call, layout, **request)))
        assert ends[-1] != ELSE, f"{more} more descriptors"
        nothing_is_half_made(layout)
        call(layout, **request)
        assert described(layout) == described(reference)
        if ends[-1] == WENT_WELL:
            break
    assert ends[0] == SAID_SO
    assert ends[-1] == WENT_WELL
    record_property("cases", len(ends))


def _with_descriptors(more: int, work: Callable[[], object]) -> int:
    """Do the work in a child that may open so many files more than it has; tell how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, free + more))
            work()
            os._exit(WENT_WELL)
        except AgentFailure as error:
            if error.code != "too-many-files":
                os.write(2, f"{error}\n".encode())
            os._exit(SAID_SO if error.code == "too-many-files" else ELSE)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(ELSE)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="module")
def hungry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a site whose application eats all memory when it is asked to."""
    text = (releases.KIOSK / "kiosk/wsgi.py").read_text() + WSGI
    with own_site(tmp_path_factory.mktemp("hungry"), releases.kiosk("hungry", {"kiosk/wsgi.py": text})) as site:
        yield site


@contextmanager
def limited(pids: list[int], limit: int) -> Iterator[Path]:
    """Let processes have so many bytes together, for a while."""
    group = MEMORY / f"slipway-{uuid.uuid4().hex}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (MEMORY / "cgroup.procs").write_text(pid)
        group.rmdir()


def test_a_worker_that_the_kernel_kills_for_its_memory_is_replaced(hungry: Site) -> None:
    """Its own request is lost, as it must be; nobody else's is, and the server stays in service."""
    if reason := obstacle():
        pytest.skip(reason)
    before = {name: host.processes[0] for name, host in hungry.status().items()}
    workers = [pid for process in before.values() for pid in children(process.pid)]
    with limited(workers, 300_000_000) as group:
        asked = http.client.HTTPConnection("127.0.0.1", hungry.ports[0], timeout=120)
        asked.request("GET", "/eat")
        assert asked.getresponse().status == 502
        killed = dict(line.split() for line in (group / "memory.oom_control").read_text().splitlines())["oom_kill"]
    assert killed == "1"
    eventually(lambda: len([pid for p in before.values() for pid in children(p.pid)]) == len(workers), 60)
    left = [pid for process in before.values() for pid in children(process.pid)]
    assert len(set(workers) - set(left)) == 1
    with hungry.traffic() as probed:
        eventually(lambda: all(host.in_service for host in hungry.status().values()), 60)
    assert probed[0].failed == 0, probed[0]


def children(pid: int) -> set[int]:
    """List the workers of a gunicorn."""
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
