"""A checkout of Slipway that has adopted an application which nobody here wrote, with an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.adopt import variables
from tests.local.conftest import Result, Site, make_site
from tests.support import sdists
from tests.support.sdists import Sdist


@dataclass
class Adopted(Site):
    """A site, and the application's own checkout."""

    app: Path = Path()

    def make(self, what: str = "release", expect: int = 0) -> Result:
        """Build as `make release` does, and insist on its exit code."""
        command = [sys.executable, "-m", "deploy.artifacts", what, "--json"]
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False, timeout=150)
        assert done.returncode == expect, done.stdout + done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def release(self) -> dict[str, Any]:
        """Build the release of the application as it is."""
        made: dict[str, Any] = json.loads(self.make().out)
        return made

    def steps(self, result: Result) -> list[str]:
        """Say what a rollout did, in its order."""
        return [event["step"]["kind"] for event in result.events if event["event"] == "end"]

    @property
    def unchanged(self) -> bool:
        """Whether nothing in the application's checkout differs from what its developers committed."""
        status = ["git", "status", "--porcelain", "--ignored"]
        return not subprocess.run(status, cwd=self.app, capture_output=True, text=True, check=True).stdout


def empty(path: Path) -> Site:
    """Make a site with an environment of its own that has built nothing yet."""
    plain = make_site(path, ships="")
    (plain.path / "dist").unlink()  # what other tests share; here it is built
    return plain


@contextmanager
def adopted(path: Path, sdist: Sdist, name: str, settings: Mapping[str, str] | None = None) -> Iterator[Adopted]:
    """Make a site of an application and its slipway.toml; `settings` replaces text there."""
    app = sdists.checkout(sdist, path / "app")
    plain = empty(path / "slipway")
    plain.environment.write_text(variables.without(plain.environment.read_text()))
    contract = (sdists.CONTRACTS / name / "slipway.toml").read_text().replace('source = "APP"', 'source = "../app"')
    for old, new in (settings or {}).items():
        assert old in contract
        contract = contract.replace(old, new)
    (plain.path / "slipway.toml").write_text(contract)
    shutil.copy(sdists.CONTRACTS / name / "slipway.lock", plain.path)
    site = Adopted(plain.path, plain.ports, plain.environment.read_text(), app)
    try:
        yield site
    finally:
        site.destroy()
