"""The interpreter that the contract names: the build machine needs the same one as the servers."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import SlipwayError

_ASK = """
import importlib.util, json, os, platform, sys
print(json.dumps({
    "version": platform.python_version(),
    "implementation": sys.implementation.name,
    "tag": sys.implementation.cache_tag,
    "magic": importlib.util.MAGIC_NUMBER.hex(),
    "platform": f"{sys.platform}-{os.uname().machine}",
    "libc": "-".join(platform.libc_ver()),
}))
"""


class InterpreterError(SlipwayError):
    """The interpreter of the contract is missing, or is another version."""


@dataclass(frozen=True)
class Interpreter:
    """A Python, and what the files made for it depend on."""

    path: str
    version: str
    implementation: str
    tag: str
    magic: str
    platform: str
    libc: str

    @property
    def minor(self) -> str:
        """Answer the version as the contract writes it."""
        return ".".join(self.version.split(".")[:2])

    @property
    def site_packages(self) -> str:
        """Answer the folder of modules inside a release."""
        return f"lib/python{self.minor}/site-packages"


def find(path: str, python: str) -> Interpreter:
    """Ask the interpreter at `path` what it is; it has to be Python `python`."""
    if not Path(path).is_file():
        raise InterpreterError(
            f"{path} is missing on this machine: expected Python {python}, which the contract names",
            hint=f"apt-get install python{python}   (or change `python` in [tool.slipway] of pyproject.toml)",
        )
    asked = subprocess.run([path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False)
    try:
        answer = Interpreter(path=path, **json.loads(asked.stdout))
    except ValueError:
        said = (asked.stderr.strip() or asked.stdout.strip() or f"exit code {asked.returncode}").splitlines()[-1]
        raise InterpreterError(f"{path}: expected a Python interpreter, got {said!r}") from None
    if answer.minor != python:
        raise InterpreterError(
            f"{path}: wrong Python version: the contract expects {python}, got {answer.version}",
            hint="change `python` in [tool.slipway] of pyproject.toml, or the interpreter",
        )
    return answer
