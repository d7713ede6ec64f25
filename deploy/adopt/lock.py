"""Lock what an adopted application requires, with hashes, beside slipway.toml: its own repository stays as it is."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy import contract as contracts
from deploy.contract import Contract
from deploy.contract_types import is_file_of_requirements
from deploy.errors import SlipwayError

# What serves it, when it names no gunicorn of its own: a version that loses no request when it leaves.
GUNICORN = "gunicorn>=27.0.1,<28"
_LINK = re.compile(r"^(?!\s*#)(?:-e\s+)?(\S*\s*@?\s*(?:git|hg|svn|bzr)\+\S+)", re.MULTILINE)
_PACKAGING = ("pyproject.toml", "setup.py", "setup.cfg")


class LockFailed(SlipwayError):
    """What the application requires can't be locked."""


def write(folder: Path, *, upgrade: bool = False) -> bool:
    """Write the lock that slipway.toml names; say whether it changed.

    Raises: LockFailed with the words of the resolver.
    """
    contract = contracts.read(folder)
    target = folder / contract.lock
    before = target.read_bytes() if target.is_file() else b""
    done = _compile(contract, folder, target, (), upgrade=upgrade)
    if not re.search(r"^gunicorn==", done, re.MULTILINE | re.IGNORECASE):
        done = _compile(contract, folder, target, (GUNICORN,), upgrade=upgrade)
    _refuse_links(done, contract.lock)
    data = done.encode()
    if data == before:
        return False
    aside = target.with_name(f".{target.name}.new")
    aside.write_bytes(data)
    aside.rename(target)
    return True


def inputs(contract: Contract, root: Path) -> tuple[list[str], list[Path]]:
    """Answer what is required by name, and the files that require more."""
    adoption = contract.adoption
    assert adoption is not None
    named = [entry for entry in adoption.requirements if not is_file_of_requirements(entry)]
    files = [root / entry for entry in adoption.requirements if is_file_of_requirements(entry)]
    if missing := [path for path in files if not path.is_file()]:
        raise LockFailed(f"slipway.toml: requirements: there is no {missing[0]}", hint="name a file of the application")
    if adoption.layout == "wheel" and not any(path.name in _PACKAGING for path in files):
        files += [root / name for name in _PACKAGING if (root / name).is_file()][:1]
    return named, files


def _compile(contract: Contract, folder: Path, target: Path, more: tuple[str, ...], *, upgrade: bool) -> str:
    adoption = contract.adoption
    assert adoption is not None
    named, files = inputs(contract, (folder / adoption.source).resolve())
    for path in files:
        _refuse_links(path.read_text(encoding="utf-8", errors="replace"), path.name)
    with tempfile.TemporaryDirectory(prefix="slipway-lock-") as scratch:
        wanted, out = Path(scratch, "slipway.in"), Path(scratch, "lock.txt")
        wanted.write_text("".join(f"{text}\n" for text in (*named, *more)))
        if target.is_file() and not upgrade:
            out.write_bytes(target.read_bytes())  # versions stay until somebody asks for newer ones
        command = [
            *(str(Path(sys.prefix) / "bin/uv"), "pip", "compile", "--quiet", "--no-config", "--generate-hashes"),
            *("--python-version", contract.python, "--python-platform", "linux", "--no-annotate"),
            *("--custom-compile-command", "make lock", "--output-file", str(out), str(wanted)),
            *(word for extra in adoption.extras for word in ("--extra", extra)),
            *(["--upgrade"] if upgrade else []),
            *map(str, files),
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, env=dict(os.environ))
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise LockFailed(
                f"what {contract.name} requires can't be locked for Python {contract.python}",
                problems=tuple(lines[-12:]),
                hint="mend `requirements`, `extras` or `python` in slipway.toml, then: make lock",
            )
        return out.read_text(encoding="utf-8")


def _refuse_links(text: str, where: str) -> None:
    """Refuse links into repositories: what they give has no hash, and may be other code tomorrow."""
    found = [" ".join(match[1].split()) for match in _LINK.finditer(text)]
    if found:
        raise LockFailed(
            f"{where}: a link into a repository can't have a hash, and mixing both is refused by pip, too",
            problems=tuple(found),
            hint="name a release of it in `requirements` instead, or build its wheel once: pip wheel LINK",
        )
