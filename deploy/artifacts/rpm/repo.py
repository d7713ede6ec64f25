"""A dnf repository of the packages in `dist/`: a folder that any web server can serve, or a `file:` address."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts.files import digest
from deploy.artifacts.output import writing
from deploy.artifacts.rpm import tools
from deploy.artifacts.tree import replace

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Repository:
    """A repository that lies in `dist/repo`."""

    path: Path
    packages: int
    sha256: str
    built: bool  # False: it was there already


def build_repo(out: Path) -> Repository:
    """Make the repository of all packages in a folder; the same packages give the same bytes."""
    tools.require("createrepo_c")
    out = out.resolve()
    path = out / "repo"
    with writing(out):
        packages = sorted(out.glob("*.rpm"))
        sums = "".join(f"{digest(package)}  {package.name}\n" for package in packages)
        present = _is_there(path, sums)
        if not present:
            _build(path, packages, sums)
    return Repository(path, len(packages), digest(path / "repodata/repomd.xml"), not present)


def _is_there(path: Path, sums: str) -> bool:
    """Say whether the repository has these packages, and no others."""
    try:
        same = (path / SUMS).read_text(encoding="utf-8") == sums
        return same and all(digest(path / name) == sha256 for sha256, name in map(str.split, sums.splitlines()))
    except FileNotFoundError:
        return False


def _build(path: Path, packages: list[Path], sums: str) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".repo.", dir=path.parent))
    try:
        for package in packages:
            os.link(package, scratch / package.name)
        # The newest commit among them, so that neither the clock nor the order of builds is seen.
        revision = max((int(package.stat().st_mtime) for package in packages), default=0)
        fixed = ["--revision", str(revision), "--set-timestamp-to-revision", "--workers", "1"]
        plain = ["--quiet", "--no-database", "--simple-md-filenames"]
        tools.run(["createrepo_c", *plain, *fixed, scratch], scratch)
        (scratch / SUMS).write_text(sums, encoding="utf-8")
        for folder, _, names in os.walk(scratch):
            Path(folder).chmod(0o755)
            for name in names:
                (Path(folder) / name).chmod(0o644)
        replace(path, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
