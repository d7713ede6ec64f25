"""The files that Slipway keeps secrets in: only their owner reads them, and they are never half-written."""

from __future__ import annotations

import fcntl
import io
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.errors import SlipwayError

HEAD = "# Secrets of this environment: keep a copy in a safe place. `fab secrets:<env>` shows which there are.\n"


class SecretsFileError(SlipwayError):
    """A file of secrets can't be used as it is."""


def read(path: Path) -> dict[str, str]:
    """Read a file of NAME=value lines, as python-dotenv does, with `$` as it stands; empty when there is none.

    Raises: SecretsFileError when anybody else could read it, or a line is no NAME=value.
    """
    text = _text(path)
    return {} if text is None else parse(text, path.name)


def parse(text: str, name: str) -> dict[str, str]:
    """Read the text of such a file; empty values are none.

    Raises: SecretsFileError naming the first line that is wrong.
    """
    from dotenv import parser  # imported here: most commands read no such file

    values: dict[str, str] = {}
    for binding in parser.parse_stream(io.StringIO(text)):
        if binding.error:
            raise SecretsFileError(
                f"{name}:{binding.original.line}: expected NAME='value' on a line of its own",
                hint="quote values with spaces, quotes or several lines",
            )
        if binding.key:
            values[binding.key] = (binding.value or "").strip()
    return {key: value for key, value in values.items() if value}


def replaced(text: str, values: Mapping[str, str]) -> str:
    """Answer the text with these values instead of what it says under their names; all else stays as it is."""
    from dotenv import parser

    kept = [b.original.string for b in parser.parse_stream(io.StringIO(text)) if b.key not in values]
    start = "".join(kept)
    if start and not start.endswith("\n"):
        start += "\n"
    return start + "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def write(path: Path, values: Mapping[str, str]) -> None:
    """Put values into such a file, under a lock: two at once lose nothing.

    Raises: SecretsFileError.
    """
    with _locked(path.parent):
        text = _text(path)
        _write(path, replaced(HEAD if text is None else text, values))


def read_alone(path: Path) -> str | None:
    """Read a file that is one secret; None when there is none or it is empty.

    Raises: SecretsFileError when it is no text that you can read.
    """
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsFileError(f"secret {path}: expected a text file that you can read; {error}") from None


def write_alone(path: Path, value: str) -> None:
    """Write a file that is one secret, in a folder that only its owner enters."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, value)


def _text(path: Path) -> str | None:
    """Read a file that nobody else may read."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SecretsFileError(
                    f"{path.name}: expected a file that only you can read", hint=f"chmod 600 {path.name}"
                )
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsFileError(f"{path.name}: expected a text file that you can read; {error}") from None


def _write(path: Path, text: str) -> None:
    """Write aside, readable by its owner alone, and rename: what is there is always whole."""
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name.lstrip('.')}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(aside).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _quoted(value: str) -> str:
    """Write a value as python-dotenv reads it back: quoted, unless it needs none."""
    if re.fullmatch(r"[\w.+/=-]+", value, re.ASCII):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
