"""What the native parts of a release need from the system: found by rpm's own `elfdeps`, and narrowed to what counts.

rpm's automatic generators would also announce every bundled library, and require some of them from other packages.
Here a library counts only if the release doesn't bring it, and of the versions of a symbol set only the highest: a
glibc that has GLIBC_2.28 has those before.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from deploy.artifacts.rpm.tools import ELFDEPS, RpmError

_NEED = re.compile(r"(?P<library>[^(]+)\((?P<symbols>[^)]*)\)(?P<width>\(64bit\))?")
_VERSION = re.compile(r"(?P<family>.*?)_?(?P<number>\d+(?:\.\d+)*)")


def of_tree(tree: Path) -> list[str]:
    """List what the shared libraries and programs below a folder need from outside it, as rpm writes it."""
    binaries = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink() and _is_elf(path)]
    if not binaries:
        return []
    needed = narrow(_ask("--requires", binaries))
    brought = {path.name for path in binaries} | {line.split("(")[0] for line in _ask("--provides", binaries)}
    return [need for need in needed if need.split("(")[0] not in brought]


def narrow(needs: Iterable[str]) -> list[str]:
    """Keep the highest version of each symbol set of each library."""
    highest: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {}
    for need in needs:
        match = _NEED.fullmatch(need)
        symbols = _VERSION.fullmatch(match["symbols"]) if match else None
        key = (match["library"], symbols["family"]) if match and symbols else (need, "")
        number = tuple(map(int, symbols["number"].split("."))) if symbols else ()
        highest[key] = max(highest.get(key, ((), need)), (number, need))
    return sorted(need for _, need in highest.values())


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _ask(what: str, binaries: list[Path]) -> list[str]:
    names = "".join(f"{path}\n" for path in binaries)
    asked = subprocess.run([ELFDEPS, what], input=names, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise RpmError(f"{ELFDEPS} {what} failed", problems=tuple(asked.stderr.splitlines()[-5:]))
    return sorted(set(asked.stdout.split("\n")) - {""})
