"""May migrations be undone here? In development yes; elsewhere rows are at stake, and there is a better way back."""

import logging
from collections.abc import Sequence

from app.database.revisions import Revision

logger = logging.getLogger(__name__)

DEVELOPMENT = "development"


def refusal(undone: Sequence[Revision], environment: str, confirmed: str | None) -> str | None:
    """Say why migrations can't be undone in an environment, or None. ``confirmed`` is the name that a person typed.

    The release before works on this schema, or the migration would not have been let through: a rollback undoes none.
    """
    if environment == DEVELOPMENT or not undone:
        return None
    final = [entry.revision for entry in undone if entry.kind == "contract"]
    if final:
        return f"{', '.join(final)}: contract migrations, and what they dropped does not come back; restore a backup"
    if confirmed is None:
        names = ", ".join(entry.revision for entry in undone)
        return (
            f"would undo {names} in {environment}, and lose the rows that only they have room for; the release before"
            f" works on this schema as it is, so roll that back instead, or type: --environment {environment}"
        )
    if confirmed != environment:
        return f"this is {environment}, not {confirmed}: nothing was changed"
    return None
