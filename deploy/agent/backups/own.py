"""Which databases are this application's: whoever may call the agent backs up and restores those, and no other's."""

from __future__ import annotations

import os
import re

from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.$-]{0,62}\Z")  # what libpq takes as a name, and never for a whole address


def require_file(layout: Layout, database: str) -> None:
    """Refuse a file beyond the state directory, also by a link that leads there: the agent is root, the app is not.

    Raises: AgentError not-ours.
    """
    real, state = os.path.realpath(database), os.path.realpath(layout.state)
    if layout.systemd and not real.startswith(f"{state}/"):
        raise _not_ours(database, f"a file below {state}", real)


def require_name(database: str) -> None:
    """Refuse what PostgreSQL's programs would take for more than a name.

    Raises: AgentError not-ours.
    """
    if not _NAME.match(database):
        raise _not_ours(database, "a name of letters, digits and _", repr(database[:80]))


def require_owner(layout: Layout, database: str, owner: str) -> None:
    """Refuse a database that is another role's than the one that the states make for this application.

    Raises: AgentError not-ours.
    """
    wanted = f"{str(layout.name).replace('-', '_')}_owner"
    if layout.systemd and owner not in ("", wanted):  # none: there is no such database, which is said elsewhere
        raise _not_ours(database, f"a database that belongs to {wanted}", f"one of {owner}")


def _not_ours(database: str, expected: str, got: str) -> AgentError:
    return AgentError(
        "not-ours", f"{database[:200]} is no database of this application's", expected=expected, got=got,
        hint="look at the variable that [backup] of the environment file names",
    )  # fmt: skip
