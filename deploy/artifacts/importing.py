"""Does a release import? Asked before it is offered to anybody, in an environment without variables."""

import subprocess
import tempfile
from pathlib import Path

from deploy.artifacts.cache import Cache, key
from deploy.contract import Contract
from deploy.errors import SlipwayError

_KIND = "imports"
_CHECK = """
import importlib, importlib.util, sys
for name in sys.argv[1].split():
    try:
        importlib.import_module(name)
    except (ImportError, SyntaxError):
        raise
    except Exception:  # it misses its variables or its database, and those it has on a server only
        if sys.argv[3] == "strict":
            raise
for name in sys.argv[2].split():
    if importlib.util.find_spec(name) is None:
        raise ModuleNotFoundError(f"No module named {name!r}")
"""


class ImportCheckError(SlipwayError):
    """The release does not import."""


def check(tree: Path, contract: Contract, wheels: list[str], cache: Cache) -> None:
    """Import what the release starts with; the same wheels are asked once."""
    imported, found = modules(contract)
    strict = "strict" if contract.adoption is None else "lenient"
    made_of = key(contract.interpreter, _CHECK, strict, *imported, "", *found, "", *sorted(wheels))
    if cache.entry(_KIND, made_of) is not None:
        return
    with tempfile.TemporaryDirectory(prefix="slipway-import-") as nowhere:
        done = subprocess.run(
            [str(tree / "bin/python"), "-I", "-B", "-c", _CHECK, " ".join(imported), " ".join(found), strict],
            cwd=nowhere,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": nowhere},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        where = "pyproject.toml" if contract.adoption is None else "`requirements` in slipway.toml"
        said = (done.stdout + done.stderr).replace(f"{tree}/", "").strip().splitlines()
        raise ImportCheckError(
            f"the release of {contract.name} can't be imported: {said[-1] if said else f'exit code {done.returncode}'}",
            problems=tuple(said[-15:]),
            hint=f"mend the import; if a dependency is missing, add it to {where} and: make lock",
        )
    with cache.adding(_KIND, made_of):
        pass


def modules(contract: Contract) -> tuple[list[str], list[str]]:
    """Answer the modules to import, and those only to find: `app.wsgi` reads its variables when it is imported."""
    served = contract.app.split(":")[0]
    imported = {served.split(".")[0], *(script.split(":")[0] for script in contract.project.scripts.values())}
    found = {served}
    if contract.adoption is not None:
        imported.add("gunicorn")
    for arguments in contract.commands.defined().values():
        if len(arguments) > 1 and arguments[0] == "-m":
            found.add(arguments[1])
    return sorted(imported), sorted(found - imported)
