"""A dnf repository of the packages in `dist/`: a folder that any web server can serve, or a `file:` address.

With a key the packages in it are signed copies, and so is the list of them; those in `dist/` stay as they were built,
so that two builds can be compared by whoever has no key.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts import cache as caches
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import digest
from deploy.artifacts.output import writing
from deploy.artifacts.rpm import tools
from deploy.artifacts.rpm.openpgp import Signer
from deploy.artifacts.tree import replace

SUMS = "SHA256SUMS"
PUBLIC = "RPM-GPG-KEY-"  # and the name: as distributions call the file under /etc/pki/rpm-gpg
_MADE_OF = ".made-of"


@dataclass(frozen=True)
class Repository:
    """A repository that lies in `dist/repo`."""

    path: Path
    packages: int
    sha256: str
    built: bool  # False: it was there already


def build_repo(out: Path, name: str = "", signer: Signer | None = None, cache: Cache | None = None) -> Repository:
    """Make the repository of all packages in a folder; the same packages and key give the same bytes."""
    tools.require("createrepo_c")
    out = out.resolve()
    path = out / "repo"
    with writing(out):
        packages = sorted(out.glob("*.rpm"))
        sources = (f"{package.name} {digest(package)}" for package in packages)
        made_of = caches.key(*sources, *((signer.fingerprint, signer.public, name) if signer else ()))
        present = _is_there(path, made_of)
        if not present:
            _build(path, packages, name, signer, made_of, cache or caches.of_user())
    return Repository(path, len(packages), digest(path / "repodata/repomd.xml"), not present)


def _is_there(path: Path, made_of: str) -> bool:
    """Say whether the repository has these packages and no others, and every byte of it is as it was made."""
    try:
        same = (path / _MADE_OF).read_text(encoding="utf-8") == made_of
        rows = [line.split(maxsplit=1) for line in (path / SUMS).read_text(encoding="utf-8").splitlines()]
        return same and all(digest(path / name) == sha256 for sha256, name in rows)
    except FileNotFoundError:
        return False


def _build(path: Path, packages: list[Path], name: str, signer: Signer | None, made_of: str, cache: Cache) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".repo.", dir=path.parent))
    # The newest commit among them, so that neither the clock nor the order of builds is seen.
    revision = max((int(package.stat().st_mtime) for package in packages), default=0)
    try:
        for package in packages:
            if signer is None:
                os.link(package, scratch / package.name)
            else:
                shutil.copy2(_signed(package, signer, cache), scratch / package.name)
        fixed = ["--revision", str(revision), "--set-timestamp-to-revision", "--workers", "1"]
        plain = ["--quiet", "--no-database", "--simple-md-filenames"]
        tools.run(["createrepo_c", *plain, *fixed, scratch], scratch)
        if signer:
            signer.sign_file(scratch / "repodata/repomd.xml", revision)
            (scratch / f"{PUBLIC}{name}").write_text(signer.public, encoding="ascii")
        _sums(scratch)
        (scratch / _MADE_OF).write_text(made_of, encoding="utf-8")
        for folder, _, names in os.walk(scratch):
            Path(folder).chmod(0o755)
            for each in names:
                (Path(folder) / each).chmod(0o644)
        replace(path, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _signed(package: Path, signer: Signer, cache: Cache) -> Path:
    """Answer the signed copy of a package; each is signed once."""
    key, when = caches.key(digest(package), signer.fingerprint), int(package.stat().st_mtime)
    if (entry := cache.entry("rpm-signed", key)) is None:
        with cache.adding("rpm-signed", key) as folder:
            copy = folder / package.name
            shutil.copyfile(package, copy)
            signer.sign_package(copy, when)
            os.utime(copy, (when, when))
        entry = cache.root / "rpm-signed" / key
    return entry / package.name


def _sums(folder: Path) -> None:
    """List hashes as sha256sum does."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    text = "".join(f"{digest(path)}  {path.relative_to(folder)}\n" for path in files)
    (folder / SUMS).write_text(text, encoding="utf-8")
