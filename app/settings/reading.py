"""From a mapping of environment variables to the values of those we know."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from app.settings.errors import Problem

logger = logging.getLogger(__name__)


def read_variables(environ: Mapping[str, str], names: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Return the values of ``names`` that are set, directly or by ``NAME_FILE``, and what could not be read."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for name in names:
        file_variable = f"{name}_FILE"
        if name in environ and file_variable in environ:
            problems.append(Problem(name, f"{name} or {file_variable}", "both"))
        elif file_variable in environ:
            try:
                values[name] = read_file(environ[file_variable])
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
                shown = f"{environ[file_variable]!r} ({reason})"
                problems.append(Problem(file_variable, "the path of a readable UTF-8 file", shown))
        elif name in environ:
            values[name] = environ[name]
    for name, value in list(values.items()):
        # A blank DATABASE_URL is a mistake in a template; falling back to the default would hide it.
        if not value.strip():
            del values[name]
            problems.append(Problem(name, "a value, or no such variable", "a blank one"))
    return values, problems


def read_file(path: str) -> str:
    """Return a file's text without the line end that editors and ``echo`` add."""
    return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


def got(value: str | None, reason: str = "", *, secret: bool) -> str:
    """Describe a refused value for a person; a secret, or the password in a URL, is never repeated."""
    if value is None:
        return "nothing"
    if secret:
        return f"a value of {len(value)} characters {reason or 'that can not be used'}"
    return repr(re.sub(r"://.*@", "://***@", value, flags=re.DOTALL))


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    return re.sub(r"(://[^:@/?]*):.*@", r"\1:***@", url, flags=re.DOTALL)
