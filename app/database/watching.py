"""How many connections a pool has open, and how many of them somebody uses: told whenever that changes."""

import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

logger = logging.getLogger(__name__)


def watch_pool(engine: Engine, tell: Callable[[int, int], None]) -> Engine:
    """Call ``tell(idle, in_use)`` with the change whenever a connection comes or goes; return the engine."""

    def changes(idle: int, in_use: int) -> Callable[..., None]:
        def happened(*_: Any) -> None:
            tell(idle, in_use)

        return happened

    event.listen(engine, "connect", changes(+1, 0))
    event.listen(engine, "checkout", changes(-1, +1))
    event.listen(engine, "checkin", changes(+1, -1))
    event.listen(engine, "close", changes(-1, 0))
    return engine
