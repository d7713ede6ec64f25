"""What keeps processes alive under the agent: `process` (no root, no systemd) or `systemd`, as the layout says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol

if TYPE_CHECKING:
    import socket

    from deploy.agent.generations import Generation
    from deploy.agent.health import Answer
    from deploy.agent.layout import Layout
    from deploy.agent.manifest import Manifest

Say = Callable[[str], None]
WEB = "web"  # the process that serves requests
ALONE = ("scheduler",)  # of which no two may run at a time: the old one leaves before the new one begins
PROCESSES = ("worker", *ALONE)  # those that the contract may have beside it
Shared = Optional["socket.socket"]  # the listening socket, where the agent has it in hand; systemd keeps its own


class Running(NamedTuple):
    """Living processes of one key: a generation's number, or that behind what they are, as in worker-<number>."""

    key: str
    pid: int
    since: float
    listen: str | None
    leaving: bool = False  # it was asked to finish, and can't be counted on
    said_ready: bool = True  # of what says so by itself
    restarts: int = 0  # how often its supervisor started it anew

    @property
    def generation(self) -> int:
        """Tell whose processes these are."""
        return number_of(self.key)

    @property
    def process(self) -> str:
        """Name what it is: web, trial, or a process of the contract."""
        return self.key.rpartition("-")[0] or WEB


def key_of(process: str, number: int) -> str:
    """Name a process of a generation."""
    return str(number) if process == WEB else f"{process}-{number}"


def number_of(key: str) -> int:
    """Tell whose process a key names."""
    return int(key.rpartition("-")[2])


class Command(NamedTuple):
    """A program to run with the environment of a generation, and what to do when it ended or was given up."""

    argv: Sequence[str]
    environment: dict[str, str]
    cwd: str
    clear_away: Callable[[], object]


class Supervisor(Protocol):
    """Start, stop and watch the processes of generations."""

    def shared_socket(self, address: str) -> AbstractContextManager[Shared]:
        """See that somebody holds the listening socket, unless one holds another address for what runs."""

    def keep(self, shared: Shared, address: str | None) -> None:
        """See that this socket, and no other, is held from now on; none where no address is given."""

    def release_socket(self) -> None:
        """Close the shared socket."""

    def listening(self) -> str | None:
        """Tell the address that is held."""

    def start(self, generation: Generation, wanted: Manifest, shared: Shared, address: str) -> None:
        """Start a generation on the shared socket, beside whatever runs there."""

    def start_trial(self, generation: Generation, wanted: Manifest) -> str:
        """Start one worker of a generation on a private socket only; give its key."""

    def wait(self, key: str, wanted: Manifest, check: str, deadline: float, say: Say) -> Answer:
        """Wait until a generation answers 200 to its `live` or `ready` check.

        Raises: NotServing died, not-ready, timeout.
        """

    def start_beside(self, generation: Generation, wanted: Manifest, process: str) -> str:
        """Start a process of the contract beside the web server; give its key."""

    def wait_beside(self, key: str, deadline: float, say: Say) -> None:
        """Wait until a process that was just started has said READY=1.

        Raises: NotServing died, timeout.
        """

    def ask_to_leave(self, keys: Iterable[str]) -> None:
        """Ask processes to finish and leave, and don't wait: `stop` does, later."""

    def stop(self, keys: Iterable[str], say: Say, timeout: float | None = None) -> float:
        """Ask processes to finish and leave, all at once, then wait, then kill; give the seconds it took."""

    def lacking(self) -> list[str]:
        """Name what has to be on the host before a generation can start, and is not."""

    def running(self) -> list[Running]:
        """List the generations, and trials, that have living processes."""

    def facts(self, ask: Callable[[str], Manifest | None]) -> dict[str, Any]:
        """Describe for `status`, from one look: living generations but no trials, and the address that is held."""

    def command(
        self, generation: Generation, argv: Sequence[str], overlay: Path | None = None, *, terminal: bool = False
    ) -> Command:
        """Say how `<release>/bin/python ARGV...` is run with the environment of a generation, and an overlay on it.

        With `terminal` it has ours, or one of its own that is passed on.
        """


def supervisor_of(layout: Layout) -> Supervisor:
    """Choose by the layout: a server has systemd, a directory of its own has not."""
    if layout.systemd:
        from deploy.agent.supervisors.systemd import SystemdSupervisor

        return SystemdSupervisor(layout)
    from deploy.agent.supervisors.process import ProcessSupervisor

    return ProcessSupervisor(layout)
