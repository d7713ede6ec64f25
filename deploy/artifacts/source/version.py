"""The version of what is built: setuptools-scm's answer, then the commit, then the content when it is not committed."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion
from packaging.version import Version as Pep440

from deploy.artifacts.source import Source, opened
from deploy.artifacts.source.git import Git
from deploy.errors import SlipwayError

# setuptools-scm's own default. Only its default scheme is known here: its import would cost each `fab` a fifth of a
# second, and it can't be asked for another commit than the one that is checked out.
_TAG = re.compile(r"^(?:[\w-]+-)?(?P<version>[vV]?\d+(?:\.\d+){0,2}[^\+]*)(?:\+.*)?$")
_UNKNOWN_SETTINGS = {
    "version_scheme",
    "git_describe_command",
    "root",
    "parse",
    "scm",
    "tag",
    "search_parent_directories",
}


class VersionError(SlipwayError):
    """The version can't be told."""


@dataclass(frozen=True)
class Version:
    """The name of a release, and the state of the source that it names."""

    text: str
    commit: str | None
    tree: str
    dirty: bool
    epoch: int

    def __str__(self) -> str:
        """Answer the version alone."""
        return self.text


def current(source: Path, ref: str | None = None) -> Version:
    """Tell the version of `ref`, or of the working tree as it is."""
    with opened(source, ref) as opened_source:
        return of(opened_source)


def of(source: Source) -> Version:
    """Tell the version of an opened source."""
    data = tomllib.loads(source.pyproject)
    settings = data.get("tool", {}).get("setuptools_scm", {})
    if source.contract.adoption is not None:
        text = _of_adopted(source, data)
        return Version(str(Pep440(text)), source.commit, source.tree, source.dirty, source.epoch)
    if unknown := sorted(_UNKNOWN_SETTINGS & set(settings)):
        raise VersionError(f"pyproject.toml: [tool.setuptools_scm] {unknown[0]}: expected setuptools-scm's default")
    if "version" in data["project"]:
        raise VersionError('pyproject.toml: [project] version: expected dynamic = ["version"]; it comes from git')
    if source.git is None or source.commit is None:
        text = f"{settings.get('fallback_version', '0.0')}+src.{source.tree[:8]}"
    else:
        text = _from_git(source.git, source.commit, source.dirty, source.tree, settings)
    return Version(str(Pep440(text)), source.commit, source.tree, source.dirty, source.epoch)


def _of_adopted(source: Source, data: dict[str, Any]) -> str:
    """Extend the app's own version by the commit, and by what contract and lock say: they are part of a release."""
    assert source.contract.adoption is not None
    project = data.get("project", {})
    poetry = data.get("tool", {}).get("poetry", {})
    said = source.contract.adoption.version or project.get("version") or poetry.get("version")
    said = said or _of_metadata(source) or (_tagged(source) if source.git else None) or "0.0"
    version = _pep440(str(said), "the app's version")
    terms = hashlib.sha256(b"\0".join(source.beside[name] for name in sorted(source.beside))).hexdigest()[:6]
    state = f"g{source.commit[:7]}" if source.commit else f"src.{source.tree[:8]}"
    dirty = f".dirty.{source.tree[:8]}" if source.dirty and source.commit else ""
    local = f"{version.local}." if version.local else ""
    return f"{version.public}+{local}{state}{dirty}.c{terms}"


def _of_metadata(source: Source) -> str | None:
    """Read the version that a source distribution names in its PKG-INFO."""
    text = (source.read("PKG-INFO") or b"").decode(errors="replace")
    found = re.search(r"^Version: (\S+)$", text, re.MULTILINE)
    return found[1] if found else None


def _tagged(source: Source) -> str | None:
    """Read the version from the nearest tag, when it is one."""
    if source.git is None or source.commit is None:
        return None
    tag, distance = _describe(source.git, source.commit)
    if tag is None or not _TAG.match(tag):
        return None
    latest = _tag_version(tag, _TAG)
    return str(latest.public) if distance == 0 else f"{_next(latest)}.dev{distance}"


def _from_git(git: Git, commit: str, dirty: bool, tree: str, settings: dict[str, Any]) -> str:
    tag, distance = _describe(git, commit)
    if tag is None:
        latest = _pep440(str(settings.get("fallback_version", "0.0")), "fallback_version")
    else:
        latest = _tag_version(tag, re.compile(settings["tag_regex"]) if "tag_regex" in settings else _TAG)
    if distance == 0 and not dirty:
        return str(latest)
    local = f"{latest.local}." if latest.local else ""
    text = f"{_next(latest)}.dev{distance}+{local}g{commit[:7]}"
    return f"{text}.dirty.{tree[:8]}" if dirty else text


def _describe(git: Git, commit: str) -> tuple[str | None, int]:
    """Answer the nearest tag and how many commits ago it was; without a tag, how many commits there are."""
    described = git.try_run("describe", "--tags", "--long", "--abbrev=40", "--match", "*[0-9]*", commit)
    tag, distance = None, 0
    if described.returncode == 0:
        tag, number, _ = described.stdout.decode().strip().rsplit("-", 2)
        distance = int(number)
    if (tag is None or distance) and git.is_shallow():
        raise VersionError(
            f"{git.root} is a shallow clone: the version counts the commits since the last tag, and they are not here",
            hint="git fetch --unshallow --tags   (in CI: fetch-depth: 0, or GIT_DEPTH: 0)",
        )
    return (tag, distance) if tag else (None, int(git.text("rev-list", "--count", commit)))


def _tag_version(tag: str, pattern: re.Pattern[str]) -> Pep440:
    match = pattern.match(tag)
    if not match:
        raise VersionError(
            f"the nearest tag is {tag!r}, which [tool.setuptools_scm] tag_regex = {pattern.pattern!r} does not accept",
            hint="git tag v1.0   (or rename the other tag: git tag NEW OLD && git tag -d OLD)",
        )
    text = match["version"] if "version" in pattern.groupindex else match[1]
    return _pep440(text, f"the tag {tag!r}")


def _pep440(text: str, where: str) -> Pep440:
    try:
        return Pep440(text)
    except InvalidVersion:
        raise VersionError(f"{where}: expected a version, as in 1.4.0, got {text!r}") from None


def _next(latest: Pep440) -> str:
    """Guess the next version, as setuptools-scm's `guess-next-dev` does."""
    public = latest.public
    if ".dev" in public:
        ahead, number = public.rsplit(".dev", 1)
        if number != "0":
            raise VersionError(f"the tag for {public}: expected .dev0 or none; a number of its own can't be counted on")
        return ahead
    head, last = re.fullmatch(r"(.*?)(\d+)", public).groups()  # type: ignore[union-attr]  # PEP 440 ends with a number
    return f"{head}{int(last) + 1}"
