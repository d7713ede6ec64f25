"""How each command of `python -m deploy.artifacts...` ends: facts or one error, and an exit code."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import Exit, SlipwayError


def carry_out(act: Callable[[], Mapping[str, Any]], lines: Callable[[Mapping[str, Any]], str], *, as_json: bool) -> int:
    """Do it and say what came of it: to a person by `lines`, or as one JSON object."""
    try:
        fact = act()
    except SlipwayError as error:
        if as_json:
            problems = {"message": error.message, "problems": list(error.problems), "hint": error.hint}
            print(json.dumps({"ok": False, "error": problems}))  # noqa: T201
        else:
            print(f"slipway: {error.report()}", file=sys.stderr)  # noqa: T201
        return int(error.exit_code)
    print(json.dumps({"ok": True, **fact}) if as_json else lines(fact))  # noqa: T201
    return int(Exit.OK)


def shown(path: Path) -> str:
    """Show a path as short as it can be typed."""
    here, path = Path.cwd(), path.resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
