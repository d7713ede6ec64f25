"""What is built: a commit, the working tree as it is, or the files of a source tarball."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import contract
from deploy.artifacts.source.git import Git, GitError
from deploy.artifacts.source.selection import Selection, is_litter, select
from deploy.contract import Contract
from deploy.errors import SlipwayError
from deploy.toml_position import load

_1980 = 315532800  # the oldest time that a zip, and so a wheel, can say


class SourceError(SlipwayError):
    """There is nothing here that can be built."""


@dataclass(frozen=True)
class Source:
    """The files of one state of the source, named by content; `git` is None for a source tarball."""

    root: Path
    contract: Contract
    pyproject: str
    selection: Selection
    git: Git | None
    prefix: str  # the folder of pyproject.toml inside its repository, "" or "folder/"
    commit: str | None
    tree: str  # git's id of the whole tree, or a hash of the selected files
    dirty: bool
    epoch: int
    # Files of the contract's own folder, where that is another than the app's: slipway.toml and the lock.
    beside: Mapping[str, bytes] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """List the selected files."""
        if self.git is None:
            return _files(self.root, self.selection)
        names = self.git.names("ls-tree", "-r", "-z", "--name-only", "--full-tree", f"{self.tree}:{self.prefix}")
        return [name for name in names if self.selection.holds(name)]

    def read(self, name: str) -> bytes | None:
        """Answer the content of a file; None when it isn't there."""
        if name in self.beside:
            return self.beside[name]
        if self.git is None:
            path = self.root / name
            return path.read_bytes() if path.is_file() else None
        shown = self.git.try_run("cat-file", "blob", f"{self.tree}:{self.prefix}{name}")
        return shown.stdout if shown.returncode == 0 else None


@contextmanager
def opened(root: Path, ref: str | None = None) -> Iterator[Source]:
    """Find what `ref` names, or take a snapshot of the working tree; the snapshot lives as long as the context."""
    folder = contract.home(root.resolve())
    terms, root, beside = _adopted(folder) if (folder / contract.OWN_FILE).is_file() else (None, folder, {})
    git = _checkout(root, contract.FILE if terms is None else ".")
    if git is None:
        if ref is not None:
            raise SourceError(f"{root} is not a git checkout, so there is no {ref!r} in it to build")
        yield replace(_tarball(root, terms), beside=beside)
        return
    source = replace(_commit(root, git, ref, terms), beside=beside)
    if ref is None and (changed := _changes(source)):
        with tempfile.TemporaryDirectory(prefix="slipway-snapshot-") as scratch:
            yield _snapshot(source, changed, Path(scratch))
        return
    yield source


def _adopted(folder: Path) -> tuple[Contract, Path, dict[str, bytes]]:
    """Answer the contract of a slipway.toml, the app's folder, and what lies beside the contract."""
    terms = contract.read(folder)
    assert terms.adoption is not None
    root = (folder / terms.adoption.source).resolve()
    if not root.is_dir():
        raise SourceError(
            f"{contract.OWN_FILE}: source: there is no folder {root}",
            hint=f"name the application's folder, relative to {folder}",
        )
    names = (contract.OWN_FILE, terms.lock)
    return terms, root, {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _checkout(root: Path, known: str) -> Git | None:
    """Answer the checkout that `known`, a file of ours, belongs to, or None for plain files."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    git = Git(root)
    if (root / ".git").exists():
        return git
    # A tarball unpacked inside somebody's repository is not that repository.
    tracked = git.try_run("ls-files", "--error-unmatch", known)
    return git if tracked.returncode == 0 else None


def _commit(root: Path, git: Git, ref: str | None, terms: Contract | None) -> Source:
    """Answer the source of a commit; its contract is `terms`, unless the commit has it."""
    wanted = f"{ref or 'HEAD'}^{{commit}}"
    # One question for all: each process of git takes as long as everything that is done with its answer.
    found = git.try_run(
        "show", "--no-patch", "--no-show-signature", "--format=%H %T %ct", "--end-of-options", wanted, "--"
    )
    if found.returncode:
        raise _no_commit(root, git, ref)
    commit, tree, time = found.stdout.decode().split()
    prefix = "" if (root / ".git").exists() else git.text("rev-parse", "--show-prefix")
    if terms is not None:
        blob = git.try_run("show", f"{commit}:{prefix}{contract.FILE}")
        text = blob.stdout.decode() if blob.returncode == 0 else ""
    elif ref is None:
        text = load(root / contract.FILE, shown_as=Path(contract.FILE)).text
    else:
        blob = git.try_run("show", f"{commit}:{prefix}{contract.FILE}")
        if blob.returncode:
            raise SourceError(f"{ref} ({commit[:7]}) has no {prefix}{contract.FILE}: expected the contract there")
        text = blob.stdout.decode()
    parsed = terms or contract.parse(text)
    return Source(
        root, parsed, text, select(parsed), git, prefix, commit, tree, dirty=False, epoch=max(int(time), _1980)
    )


def _no_commit(root: Path, git: Git, ref: str | None) -> SlipwayError:
    inside = git.try_run("rev-parse", "--git-dir")
    if inside.returncode:  # damaged, or owned by somebody else
        said = inside.stderr.decode(errors="replace").strip().splitlines()
        advice = [line.strip() for line in said if line.strip().startswith("git config")]
        return GitError(f"git does not accept {root}: {said[0]}", hint=advice[0] if advice else None)
    if ref is not None:
        return SourceError(f"{root} has no commit, tag or branch {ref!r}", hint="git log --oneline -5; git tag")
    return SourceError(
        f"{root} has no commit yet, so what is built could not be named", hint="git add -A && git commit -m 'Start'"
    )


def _changes(source: Source) -> list[str]:
    """List the selected files that differ from the commit: changed, deleted, or new and not ignored."""
    if source.git is None:
        return []
    names = uncommitted(source)
    return [f"{source.prefix}{name}" for name in names if source.selection.holds(name)]


def uncommitted(source: Source, *below: str) -> list[str]:
    """List files, relative to pyproject.toml, that differ from the commit: changed, deleted, or new and not ignored."""
    if source.git is None:
        return []
    changed = source.git.names(
        "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=all",
        *(("--", *below) if below else ()),
    )  # fmt: skip
    names = [entry[3:] for entry in changed]  # relative to the repository, not to us
    return [name.removeprefix(source.prefix) for name in names if name.startswith(source.prefix)]


def _snapshot(source: Source, changed: list[str], scratch: Path) -> Source:
    """Write the changed files into a tree of git's, through an index and an object store of our own."""
    if source.git is None:
        return source
    objects = source.git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
    (scratch / "objects").mkdir()
    top = Path(source.git.text("rev-parse", "--show-toplevel"))
    environ = {
        "GIT_INDEX_FILE": str(scratch / "index"),
        "GIT_OBJECT_DIRECTORY": str(scratch / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
    }
    git = Git(top, environ)
    git.run("read-tree", f"{source.commit}^{{tree}}")
    names = b"".join(os.fsencode(name) + b"\0" for name in changed if not name.endswith("/"))
    git.run("update-index", "--add", "--remove", "--replace", "-z", "--stdin", stdin=names)
    tree = git.text("write-tree")
    if tree == source.tree:  # staged, then put back
        return source
    pyproject = source.pyproject
    if source.contract.adoption is not None:
        path = source.root / contract.FILE
        pyproject = path.read_text(encoding="utf-8") if path.is_file() else ""
    return replace(source, git=replace(git, root=source.root), tree=tree, dirty=True, pyproject=pyproject)


def _tarball(root: Path, terms: Contract | None) -> Source:
    """Answer the source of plain files."""
    path = root / contract.FILE
    document = load(path, shown_as=Path(contract.FILE)) if terms is None or path.is_file() else None
    parsed = terms or contract.from_document(load(path, shown_as=Path(contract.FILE)))
    text = document.text if document else ""
    selection = select(parsed)
    digest = hashlib.sha256()
    for name in _files(root, selection):
        path = root / name
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        kind = "link" if path.is_symlink() else "executable" if os.access(path, os.X_OK) else "file"
        digest.update(f"{name}\0{kind}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return Source(root, parsed, text, selection, None, "", None, digest.hexdigest(), dirty=True, epoch=_1980)


def _files(root: Path, selection: Selection) -> list[str]:
    """List the selected files of a folder that has no git."""
    found = []
    for folder, folders, files in os.walk(root):
        relative = Path(folder).relative_to(root).as_posix()
        start = "" if relative == "." else f"{relative}/"
        folders[:] = [name for name in folders if not is_litter(start + name)]
        found += [start + name for name in files]
    return sorted(name for name in found if selection.holds(name) and not is_litter(name))
