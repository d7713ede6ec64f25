"""Show what generations said."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from deploy.agent import generations
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout
from deploy.agent.log_filter import Filter

Line = Callable[[int, str], None]


class Source(Protocol):
    """Where the lines of generations are."""

    def past(self, number: int, lines: int | None, since: float | None) -> Iterable[str]:
        """Read the last lines of a generation, or all (None); earlier ones than `since` may be left out."""

    def follow(self, number: int, over: Callable[[], bool]) -> Iterator[str]:
        """Go on behind what `past` has read, or from the beginning, until it is over."""


def logs(
    layout: Layout, lines: int, number: int | None, follow: bool, chosen: Filter, line: Line, left: Callable[[], bool]
) -> int:
    """Give the last lines of a generation (null: of what is current) and, with `follow`, those to come.

    A filter that looks back has the generations before the current one give theirs as well.

    Raises: AgentError nothing-current, no-generation, no-log.
    """
    newest = generations.current(layout) if number is None else number
    if newest is None:
        raise AgentError("nothing-current", "no generation was ever activated here", hint="name a generation")
    before = [n for n in generations.numbers(layout) if n < newest] if number is None and chosen.looks_back else []
    source, said = _source(layout), deque[tuple[int, str]](maxlen=lines)
    for each in [*before, newest]:
        texts = source.past(each, lines if chosen.is_open else None, chosen.since)
        said.extend((each, text) for text in texts if chosen.wants(text))
    if lines and not (said or follow) and chosen.is_open:
        generations.load(layout, newest)
        raise AgentError("no-log", f"generation {newest} has said nothing yet", hint="see `status`")
    for generation, text in said:
        line(generation, text)
    count = len(said)
    while follow and not left():
        now = newest

        def over(now: int = now) -> bool:
            return left() or (number is None and generations.current(layout) not in (now, None))

        for text in filter(chosen.wants, source.follow(now, over)):
            line(now, text)
            count += 1
        newest = now if number is not None else generations.current(layout) or now
    return count


def _source(layout: Layout) -> Source:
    if layout.systemd:
        from deploy.agent.supervisors.journal import Journal

        return Journal(layout)
    from deploy.agent.log_files import Files

    return Files(layout)
