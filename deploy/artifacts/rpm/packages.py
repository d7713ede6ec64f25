"""Packages from a release: one of its own for each version, and two small ones for what versions share.

`<name>-release-<version>` is the release tree; `<name>-host` is what a server needs beside it; `<name>` brings both.
"""

import contextlib
import glob
import hashlib
import os
import re
import runpy
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from deploy.agent import store
from deploy.artifacts import agent, release, units
from deploy.artifacts import cache as caches
from deploy.artifacts.built import ReleaseTree
from deploy.artifacts.cache import Cache
from deploy.artifacts.files import MTIME, digest
from deploy.artifacts.manifest import FILE as MANIFEST
from deploy.artifacts.output import writing
from deploy.artifacts.rpm import needs, tools
from deploy.artifacts.rpm import version as versions
from deploy.artifacts.source import opened
from deploy.artifacts.source.beside import HOST, OURS, RELEASE, Beside, beside
from deploy.contract import Contract

# docs/decisions/0009-rpms-side-by-side.md has the measurements. The number of threads is part of the header, so it is
# said; what they write does not depend on how many processors there are.
PAYLOAD = "w3T4.zstdio"
NO_LICENSE = "LicenseRef-Not-Stated"


@dataclass(frozen=True)
class Package:
    """An rpm that lies in `dist/`."""

    path: Path
    sha256: str
    built: bool  # False: it was there already


@dataclass(frozen=True)
class Payload:
    """A file of a package: its content, here or on disk, and its mode on a server."""

    mode: int
    source: Path | None = None
    data: bytes = b""
    link: str | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Recipe:
    """All that the bytes of packages depend on, beside rpmbuild itself."""

    spec: str
    payload: Mapping[str, Payload]
    epoch: int
    arch: str

    @property
    def key(self) -> str:
        """Name the packages by what they are made of."""
        files = (
            f"{place} {file.mode:o} {file.link or file.sha256 or hashlib.sha256(file.data).hexdigest()}"
            for place, file in sorted(self.payload.items())
        )
        return caches.key(self.spec, str(self.epoch), self.arch, tools.version("rpmbuild"), *files)


def build_rpms(
    source: Path, ref: str | None = None, out: Path = Path("dist"), cache: Cache | None = None
) -> tuple[ReleaseTree, list[Package], float]:
    """Build the packages of `ref`, or of the working tree as it is; answer them, and the seconds it took."""
    started = time.monotonic()
    tools.require("rpmbuild")
    cache = cache or caches.of_user()
    tree = release.build_release(source, ref, out, cache)
    with opened(source, ref) as state:
        contract = state.contract
        with beside(state, ref) as own:
            recipes = [release_recipe(contract, tree, own), host_recipe(contract, tree, own)]
    with writing(out.resolve()):
        packages = [package for recipe in recipes for package in make(recipe, out.resolve(), cache)]
    return tree, packages, time.monotonic() - started


def release_recipe(contract: Contract, tree: ReleaseTree, own: Beside = OURS) -> Recipe:
    """Describe the package of one version: the release tree, with the modes that the agent would give it."""
    words = _words(contract, tree, own.mark(*RELEASE))
    base = f"/opt/{contract.name}/releases/{tree.version}"
    payload = {}
    for entry in tree.manifest.data["files"]:
        place = f"{base}/{entry['path']}"
        if "link" in entry:
            payload[place] = Payload(0o777, link=entry["link"])
        else:
            mode = store.mode_of(executable=bool(int(entry["mode"], 8) & 0o100))
            payload[place] = Payload(mode, tree.path / entry["path"], sha256=entry["sha256"])
    for path in (tree.path / MANIFEST, *sorted(tree.path.glob(f"{MANIFEST}.*"))):  # and its signature, when it has one
        payload[f"{base}/{path.name}"] = Payload(store.PLAIN, path, sha256=digest(path))
    guard = _guard(own, contract.name, tree.version).replace("%", "%%")
    words |= {"digest": tree.digest, "needs": needs.of_tree(tree.path), "guard": guard, "listed": listed(base, payload)}
    spec = units.fill("rpm/release.spec.in", words, own.templates)
    return Recipe(spec, payload, words["epoch"], tree.manifest.data["platform"].partition("-")[2])


def _guard(own: Beside, name: str, version: str) -> str:
    """Give the scriptlet that the agent knows by heart; before it did, the templates had it."""
    path = own.agent / "guard.py"
    return str(runpy.run_path(str(path))["text"](name, version)) if path.is_file() else ""


def listed(base: str, payload: Mapping[str, Payload]) -> list[str]:
    """List a folder and all in it for `%files`, with the modes that are not the default of the spec."""
    folders = {folder for place in payload for folder in _above(place) if folder.startswith(base)}
    rows = {folder: f"%dir {_pattern(folder)}" for folder in folders}
    for place, file in payload.items():
        own = "" if file.link is not None or file.mode == store.PLAIN else f"%attr({file.mode:04o},root,root) "
        rows[place] = own + _pattern(place)
    return [row for _, row in sorted(rows.items())]


def _above(place: str) -> list[str]:
    return [str(folder) for folder in PurePosixPath(place).parents]


def _pattern(place: str) -> str:
    """Name a file as a pattern of rpm's that finds it, whatever it is called: spaces and `%` mean something there."""
    return re.sub(r"[^A-Za-z0-9_./+@~,:=-]", lambda mark: "?" if mark[0].isascii() else "*", place)


def host_recipe(contract: Contract, tree: ReleaseTree, own: Beside = OURS) -> Recipe:
    """Describe what versions share, and the package that brings it together with this one."""
    rendered = units.render(contract, own.templates)
    payload = {place: Payload(0o644, data=text.encode()) for place, text in rendered.items()}
    words = _words(contract, tree, own.mark(*HOST))
    use = units.fill("rpm/use-release.in", words, own.templates)
    programs = {"releasectl": agent.build(own.agent), "use-release": use.encode()}
    payload |= {f"/usr/lib/{contract.name}/{name}": Payload(0o755, data=data) for name, data in programs.items()}
    places = sorted(place for place in payload if place.startswith("/usr/lib/"))
    words["places"] = [f"%dir /usr/lib/{contract.name}", *places]
    # In the package that stands for one version: a server that gets its releases by rollouts never has it.
    words["first"] = f"/usr/lib/systemd/system/{contract.name}.service.d/first.conf"
    payload[words["first"]] = Payload(0o644, data=units.fill("rpm/first.conf.in", words, own.templates).encode())
    return Recipe(units.fill("rpm/host.spec.in", words, own.templates), payload, words["epoch"], "noarch")


def _words(contract: Contract, tree: ReleaseTree, mark: str) -> dict[str, Any]:
    """Answer what the specs may say; `%` begins a macro there."""
    license_ = contract.project.license
    words = {
        **units.words_of(contract),
        "version": tree.version,
        "rpm_version": versions.of(tree.version),
        "rpm_release": f"1.{mark}" if mark else "1",
        "license": license_ if isinstance(license_, str) else NO_LICENSE,
        "packager": _packager(contract.project.authors),
        "python": contract.python,
        "interpreter": contract.interpreter,
        "packages": list(contract.slipway.system_packages.redhat),
        "payload": PAYLOAD,
    }
    escaped = {name: value.replace("%", "%%") if isinstance(value, str) else value for name, value in words.items()}
    return {**escaped, "epoch": int(tree.manifest.data["source_date_epoch"])}


def _packager(authors: Any) -> str:
    """Name the first author, as rpm writes a person; "" when there is none."""
    first: dict[str, str] = authors[0] if authors else {}
    email = f"<{first['email']}>" if "email" in first else ""
    return f"{first.get('name', '')} {email}".strip()


def make(recipe: Recipe, out: Path, cache: Cache) -> list[Package]:
    """Put packages into a folder, from the cache when they were built before."""
    key = recipe.key
    entry = cache.entry("rpm", key)
    if entry is not None and not _whole(entry):
        cache.drop("rpm", key)
        entry = None
    if entry is None:
        with cache.adding("rpm", key) as scratch:
            build(recipe, scratch)
        entry = cache.entry("rpm", key)
        assert entry is not None
    made = [_put(path, out) for path in sorted(entry.glob("*.rpm"))]
    for package in made:
        _remove_siblings(package.path)
    return made


def _remove_siblings(path: Path) -> None:
    """Leave one package of a name and version: another has templates, or an agent, that are there no more."""
    start, _, end = path.name.rpartition("-")
    arch = ".".join(end.rsplit(".", 2)[-2:])
    for other in path.parent.glob(f"{glob.escape(start)}-1*.{arch}"):
        if other != path and "-" not in other.name.removeprefix(f"{start}-"):
            other.unlink()


def _whole(entry: Path) -> bool:
    """Say whether cached packages are as they were built: `dist/` has hard links to them."""
    sums = dict(line.split(maxsplit=1) for line in (entry / "sums").read_text().splitlines())
    paths = [entry / name for name in sums.values()]
    return all(path.is_file() and digest(path) == sha256 for sha256, path in zip(sums, paths, strict=True))


def _put(path: Path, out: Path) -> Package:
    target = out / path.name
    present = target.is_file() and target.samefile(path)
    if not present:
        aside = out / f".{path.name}.new"
        aside.unlink(missing_ok=True)
        try:
            os.link(path, aside)
        except OSError:  # another file system
            present = target.is_file() and digest(target) == digest(path)
            shutil.copy2(path, aside)
        aside.rename(target)
    return Package(target, digest(target), not present)


def build(recipe: Recipe, into: Path) -> None:
    """Run rpmbuild on files that are laid out as on a server."""
    # Beside the result: links to the release, and no copy of what rpmbuild wrote. But it takes no odd paths.
    near = into if _pattern(str(into)) == str(into) else None
    with tempfile.TemporaryDirectory(prefix=".rpmbuild-", dir=near) as folder:
        top = Path(folder)
        stage(recipe.payload, top / "staged")
        (top / "package.spec").write_text(recipe.spec, encoding="utf-8")
        places = {"_topdir": top, "_tmppath": top / "tmp", "_rpmdir": top / "made", "_dbpath": top / "db"}
        names = {"staged": top / "staged", "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"}
        defines = [word for name, value in {**places, **names}.items() for word in ("--define", f"{name} {value}")]
        target = [] if recipe.arch == "noarch" else ["--target", f"{recipe.arch}-linux"]
        command = ["rpmbuild", "-bb", "--quiet", "--nodeps", *target, *defines, str(top / "package.spec")]
        tools.run(command, top, SOURCE_DATE_EPOCH=str(recipe.epoch))
        made = sorted((top / "made").glob("*.rpm"))
        for path in made:
            shutil.move(path, into / path.name)
            (into / path.name).chmod(0o644)
            os.utime(into / path.name, (recipe.epoch, recipe.epoch))
        (into / "sums").write_text("".join(f"{digest(into / path.name)} {path.name}\n" for path in made))


def _link(source: Path, path: Path) -> None:
    """Put a file of the release where rpmbuild reads it: as it is, which is quicker than a copy of 80 MB."""
    if source.stat().st_mtime == MTIME:
        with contextlib.suppress(OSError):  # another file system
            os.link(source, path)
            return
    shutil.copyfile(source, path)
    os.utime(path, (MTIME, MTIME))


def stage(payload: Mapping[str, Payload], root: Path) -> None:
    """Lay out the files of a package: what is written gets mode and time pinned; what is linked has its time so."""
    root.mkdir()
    for place, file in sorted(payload.items()):
        path = Path(f"{root}{place}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link is not None:
            path.symlink_to(file.link)
            os.utime(path, (MTIME, MTIME), follow_symlinks=False)
            continue
        if file.source is not None:
            _link(file.source, path)
            continue
        path.write_bytes(file.data)
        path.chmod(file.mode)
        os.utime(path, (MTIME, MTIME))
    for directory, _, _ in os.walk(root, topdown=False):
        Path(directory).chmod(0o755)
        os.utime(directory, (MTIME, MTIME))
