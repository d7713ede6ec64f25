"""The oldest server that a release has to run on: which wheels it can load, and why another can't be used.

A wheel says in its name what it needs: `manylinux_2_28` is the GNU C library 2.28 or later (PEP 600), `cp312` is
CPython 3.12. A build machine is often newer than the servers, so it is the contract that decides, not this machine.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from deploy.artifacts.interpreter import Interpreter
from deploy.errors import SlipwayError

_OLDEST = 5  # glibc 2.5: manylinux1, the oldest there ever was
_LEGACY = {"manylinux2014": (2, 17), "manylinux2010": (2, 12), "manylinux1": (2, 5)}
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_\w+\Z")


class FloorError(SlipwayError):
    """A wheel needs more than the servers have."""


def lower(interpreter: Interpreter, glibc: str | None) -> Interpreter:
    """Answer the interpreter as the oldest server has it: with the contract's C library when that is older."""
    here = glibc_of(interpreter)
    if glibc is None or here is None or _pair(glibc) >= here:
        return interpreter
    return replace(interpreter, libc=f"glibc-{glibc}")


def glibc_of(interpreter: Interpreter) -> tuple[int, int] | None:
    """Answer the version of the GNU C library; None for another one, which has no floor."""
    name, _, version = interpreter.libc.partition("-")
    return _pair(version) if name == "glibc" and version.count(".") else None


def platforms(interpreter: Interpreter) -> list[str]:
    """Name the platforms of wheels that run on the target, the best first."""
    machine, glibc = interpreter.platform.partition("-")[2], glibc_of(interpreter)
    if glibc is None:
        return []
    names = []
    for minor in range(glibc[1], _OLDEST - 1, -1):
        names.append(f"manylinux_{glibc[0]}_{minor}_{machine}")
        names += (f"{legacy}_{machine}" for legacy, pair in _LEGACY.items() if pair == (glibc[0], minor))
    return [*names, f"linux_{machine}"]


def supported(interpreter: Interpreter) -> frozenset[Tag]:
    """Answer every tag of a wheel that runs on the target."""
    major, minor = (int(part) for part in interpreter.minor.split("."))
    named = platforms(interpreter)
    abi = f"cp{major}{minor}"
    return frozenset([*cpython_tags((major, minor), [abi], named), *compatible_tags((major, minor), abi, named)])


def check(names: Iterable[str], interpreter: Interpreter) -> None:
    """Refuse wheels, by file name, that the target can't load."""
    if glibc_of(interpreter) is None:
        return
    fitting = supported(interpreter)
    problems = [
        f"{name}: {too_new(tags, interpreter)}"
        for name in names
        if not (tags := parse_wheel_filename(name)[3]) & fitting
    ]
    if problems:
        raise FloorError(
            f"the target has {target(interpreter)}: not every wheel runs there",
            problems=tuple(problems),
            hint="lock versions with wheels for it (pin in pyproject.toml, make lock), or raise `glibc` or `python` "
            "in [tool.slipway] when every server has more",
        )


def python_problem(requires_python: str | None, interpreter: Interpreter) -> str | None:
    """Say why a distribution does not run on the target's Python; None when it does."""
    try:
        fits = not requires_python or SpecifierSet(requires_python).contains(interpreter.version, prereleases=True)
    except InvalidSpecifier:
        return f"says Requires-Python: {requires_python!r}, which nobody understands"
    return None if fits else f"needs Python {requires_python}; the target has {interpreter.version}"


def target(interpreter: Interpreter) -> str:
    """Describe what the servers have."""
    return f"Python {interpreter.minor}, {interpreter.platform}, {interpreter.libc.replace('-', ' ')}"


def too_new(tags: Iterable[Tag], interpreter: Interpreter) -> str:
    """Say what a wheel needs that the target has not."""
    machine, glibc = interpreter.platform.partition("-")[2], glibc_of(interpreter)
    alike = [tag for tag in tags if tag.platform == "any" or tag.platform.endswith(f"_{machine}")]
    if not alike:
        return f"is for {_words({tag.platform for tag in tags})}"
    pythons = {tag.interpreter for tag in alike}
    needed = [pair for tag in alike if (pair := _needs(tag.platform)) is not None]
    if glibc is not None and needed and min(needed) > glibc:
        return f"needs glibc {'.'.join(map(str, min(needed)))}, the target has {'.'.join(map(str, glibc))}"
    return f"is for {_words(pythons)} and {_words({tag.platform for tag in alike})}"


def of_links(said: str, name: str, interpreter: Interpreter) -> tuple[str, ...]:
    """Find in what pip says at -vv which wheels of a distribution there are, and why each does not fit."""
    found = {}
    for file in re.findall(r"([\w.]+-[\w.!+%]+-[\w.]+-[\w.]+-[\w.]+\.whl)\b", said):
        try:
            distribution, _, _, tags = parse_wheel_filename(file.replace("%2B", "+"))
        except InvalidWheelFilename:
            continue
        if distribution == name and not tags & supported(interpreter):
            found[file] = too_new(tags, interpreter)
    return tuple(f"{file}: {why}" for file, why in sorted(found.items()))


def _needs(platform: str) -> tuple[int, int] | None:
    if match := _MANYLINUX.match(platform):
        return int(match[1]), int(match[2])
    return next((pair for legacy, pair in _LEGACY.items() if platform.startswith(f"{legacy}_")), None)


def _pair(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _words(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))
