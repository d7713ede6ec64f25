"""Views of the table of variables: as data, as ``.env.example``, and as the masked values of a process."""

import logging
import textwrap
from typing import Any

from pydantic_core import PydanticUndefined

from app.settings.model import Settings, is_secret
from app.settings.reading import without_password

logger = logging.getLogger(__name__)

HEADER = """\
# Copy to .env and edit: `{name} run` reads .env, nothing else does. Servers get their variables from Slipway.
# NAME_FILE=/path takes the value of NAME from a file. Written by `{name} config schema --env`; a test compares.
"""


def variables() -> list[dict[str, Any]]:
    """Return one entry per variable, as data; ``default`` is None when it is required, or nothing."""
    rows = []
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        required = field.default is PydanticUndefined
        rows.append(
            {
                "name": name.upper(),
                "summary": field.description,
                "expected": extra["expected"],
                "required": required,
                "default": None if required or field.default in (None, ()) else shown(field.default),
                "example": (field.examples or [""])[0],
                "secret": is_secret(field),
                "by_slipway": extra["by_slipway"],
            }
        )
    return rows


def shown(value: Any) -> str:
    """Write a value as it is written in an environment; a secret stays hidden, and so does a password in a URL."""
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else without_password(str(value))


def masked(settings: Settings) -> dict[str, str]:
    """Return every variable's value in force, secrets hidden."""
    return {name.upper(): shown(getattr(settings, name)) for name in Settings.model_fields}


def env_example(name: str) -> str:
    """Render ``.env.example`` for the program called ``name``: required variables set, the others commented out."""
    blocks = [HEADER.format(name=name)]
    for row in variables():
        if row["by_slipway"]:
            continue
        note = "\n".join(textwrap.wrap(f"{row['summary']}. Expected: {row['expected']}.", 116))
        written = row["example"] if row["default"] is None else row["default"]
        line = f"{'' if row['required'] else '# '}{row['name']}={written}"
        blocks.append(f"{textwrap.indent(note, '# ')}\n{line}\n")
    return "\n".join(blocks)
