"""The task that takes on an application which knows nothing of Slipway."""

from __future__ import annotations

from typing import Any


def init(c: Any, app: str = "", force: bool = False) -> None:
    """Look at an application's repository, and write slipway.toml with what was found; `--app PATH`."""
    from pathlib import Path

    from deploy.adopt import adopting
    from deploy.errors import SlipwayError
    from deploy.tasks import common

    if not app:
        raise SlipwayError("--app: expected the folder of an application", hint="fab init --app ../theirs")
    common.say(adopting.report(adopting.adopt(Path(app), common.ROOT, force=force, say=common.say)))


init.help = {  # type: ignore[attr-defined]
    "app": "folder of the application's repository",
    "force": "write over the slipway.toml that is there",
}
TASKS = (init,)
