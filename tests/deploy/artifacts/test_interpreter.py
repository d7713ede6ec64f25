"""The interpreter of the contract: there, a Python, and of the right minor version."""

from pathlib import Path

import pytest

from deploy.artifacts import interpreter
from deploy.artifacts.interpreter import Interpreter, InterpreterError


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_knows_what_files_depend_on(python: Interpreter) -> None:
    assert (python.minor, python.tag, python.implementation) == ("3.11", "cpython-311", "cpython")
    assert python.site_packages == "lib/python3.11/site-packages"
    assert python.platform.startswith("linux-")


def test_a_missing_one_is_named() -> None:
    with pytest.raises(InterpreterError, match=r"/usr/bin/python3\.99 is missing .* expected Python 3\.99") as error:
        interpreter.find("/usr/bin/python3.99", "3.99")
    assert "apt-get install python3.99" in (error.value.hint or "")


def test_the_wrong_version_is_refused(tmp_path: Path) -> None:
    fake = script(tmp_path / "python3.12", 'exec /usr/bin/python3.11 "$@"')
    with pytest.raises(InterpreterError, match=r"wrong Python version: the contract expects 3\.12, got 3\.11\.\d+"):
        interpreter.find(fake, "3.12")


@pytest.mark.parametrize(
    ("text", "got"), [("echo hello", "hello"), ("echo broken >&2; exit 3", "broken"), ("exit 4", "exit code 4")]
)
def test_what_is_no_python_is_refused(tmp_path: Path, text: str, got: str) -> None:
    with pytest.raises(InterpreterError, match=f"expected a Python interpreter, got '{got}'"):
        interpreter.find(script(tmp_path / "python", text), "3.11")
