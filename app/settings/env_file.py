"""Files of ``NAME=value`` lines, read the way python-dotenv does, but never half."""

import io
import logging
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

logger = logging.getLogger(__name__)


class UnreadableEnvFile(Exception):
    """The file can't be read as variables; the message says where and why."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables in a file. ``$NAME`` stays as it is. Raises UnreadableEnvFile."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableEnvFile(f"{error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableEnvFile("a file that is not UTF-8") from error
    bad = [
        str(binding.original.line)
        for binding in parse_stream(io.StringIO(text))
        if binding.error or (binding.key is not None and binding.value is None)
    ]
    if bad:
        # The lines themselves may hold secrets.
        raise UnreadableEnvFile(f"no NAME=value in line {', '.join(bad)}")
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}
