"""How many connections a pool has open, and how many of them somebody uses: told whenever that changes."""

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

logger = logging.getLogger(__name__)

IDLE, IN_USE = "idle", "in_use"


def watch_pool(engine: Engine, tell: Callable[[str, int], None]) -> Engine:
    """Call ``tell(state, change)`` for each connection that comes into a state or leaves it; return the engine."""

    def changes(*moves: tuple[str, int]) -> Callable[..., None]:
        def happened(*_: Any) -> None:
            for state, change in moves:
                tell(state, change)

        return happened

    event.listen(engine, "connect", changes((IDLE, +1)))
    event.listen(engine, "checkout", changes((IDLE, -1), (IN_USE, +1)))
    event.listen(engine, "checkin", changes((IN_USE, -1), (IDLE, +1)))
    event.listen(engine, "close", changes((IDLE, -1)))
    return engine
