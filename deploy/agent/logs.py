"""Show what a generation said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from deploy.agent import generations
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

POLL = 0.2  # seconds
Line = Callable[[int, str], None]


def logs(layout: Layout, lines: int, number: int | None, follow: bool, line: Line, left: Callable[[], bool]) -> int:
    """Give the last lines of a generation's log (null: of what is current) and, with `follow`, those to come.

    Raises: AgentError nothing-current, no-log.
    """
    chosen = generations.current(layout) if number is None else number
    if chosen is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="name a generation")
    if layout.systemd:
        return _journal(layout, lines, chosen, follow, number is None, line, left)
    path = layout.log_file(str(chosen))
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise AgentError("no-log", f"generation {chosen} has said nothing yet", hint="see `status`") from None
    count = 0
    with file:
        end = os.fstat(file.fileno()).st_size
        for text in last_lines(file.fileno(), lines, end):
            line(chosen, text)
            count += 1
        rest = b""
        file.seek(end)
        while follow and not left():
            data = file.read(1 << 16)
            if not data:
                if number is None and generations.current(layout) not in (chosen, None):
                    return count + logs(layout, lines, None, True, line, left)
                time.sleep(POLL)
                continue
            *whole, rest = (rest + data).split(b"\n")
            for raw in whole:
                line(chosen, raw.decode("utf-8", "replace"))
                count += 1
    return count


def _journal(
    layout: Layout, lines: int, number: int, follow: bool, moves: bool, line: Line, left: Callable[[], bool]
) -> int:
    """Give what a generation said to the journal; with `moves`, go on with whatever becomes current."""
    from deploy.agent.supervisors import journal, systemd

    def pass_on(text: str) -> None:
        line(number, text)

    def over() -> bool:
        return left() or (moves and generations.current(layout) not in (number, None))

    count = journal.follow(systemd.unit_of(layout, str(number)), lines, pass_on, over if follow else None)
    if follow and not left():
        return count + logs(layout, lines, None, True, line, left)
    if not count and not follow and lines:
        raise AgentError("no-log", f"generation {number} has said nothing yet", hint="see `status`")
    return count


def last_lines(descriptor: int, count: int, end: int) -> list[str]:
    """Read the last lines of a file that was `end` bytes long when we looked; it may grow meanwhile."""
    position = end
    data = b""
    while position and data.count(b"\n") <= count:
        step = min(1 << 16, position)
        position -= step
        data = os.pread(descriptor, step, position) + data
    return data.decode("utf-8", "replace").splitlines()[-count:] if count else []
