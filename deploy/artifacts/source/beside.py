"""What servers get beside a release: units, scripts and the agent, of the very state of the source that is built."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.artifacts.source.checkout import Source, uncommitted
from deploy.artifacts.source.export import unpack

SLIPWAY = Path(__file__).resolve().parents[3]
_TEMPLATES, _AGENT = "packaging", "deploy/agent"
# A folder of that name that lacks this file is something else.
_MARKS = {_TEMPLATES: "packaging/rpm/host.spec.in", _AGENT: "deploy/agent/__main__.py"}
# What of them goes into the package of a release, into those that versions share, and into the image.
RELEASE = ("packaging/rpm/release.spec.in", "packaging/rpm/settings.in", "deploy/agent/guard.py")
HOST = (
    *(f"packaging/rpm/{name}.in" for name in ("host.spec", "settings", "first.conf", "use-release")),
    *(f"packaging/{folder}" for folder in ("etc", "systemd", "sysusers.d", "tmpfiles.d")), "deploy/agent",
)  # fmt: skip
IMAGE = ("packaging/image/entrypoint.sh.in", "packaging/image/healthcheck.py")
ALL = (*RELEASE, *HOST, *IMAGE)


@dataclass(frozen=True)
class Beside:
    """Two folders: `packaging/`, with the templates, and the agent's source."""

    templates: Path
    agent: Path
    changed: Mapping[str, str] = field(default_factory=dict)  # what nobody committed: path, and sha256 of the content

    def mark(self, *parts: str) -> str:
        """Name the state of some files, or folders, that nobody committed; "" when they are as in the commit.

        It is for the names of what they go into: the version tells only of the app and its dependencies.
        """
        rows = [f"{path} {sha256}\n" for path, sha256 in sorted(self.changed.items()) if _lies_in(path, parts)]
        return f"dirty.{hashlib.sha256(''.join(rows).encode()).hexdigest()[:8]}" if rows else ""


OURS = Beside(SLIPWAY / _TEMPLATES, SLIPWAY / _AGENT)


@contextmanager
def beside(source: Source, ref: str | None) -> Iterator[Beside]:
    """Give the folders of a commit, or of the checkout as it is; a project that has none of its own gets Slipway's."""
    if ref is None or source.git is None:
        templates, agent = (_own(source.root, name) or SLIPWAY / name for name in _MARKS)
        yield Beside(templates, agent, _changed(source))
        return
    with tempfile.TemporaryDirectory(prefix="slipway-beside-") as scratch:
        into = Path(scratch)
        for name, mark in _MARKS.items():
            if source.read(mark) is not None:
                tree = f"{source.tree}:{source.prefix}"
                unpack(source.git.run("archive", "--format=tar", tree, "--", name), into)
        templates, agent = (_own(into, name) or SLIPWAY / name for name in _MARKS)
        yield Beside(templates, agent)


def _changed(source: Source) -> dict[str, str]:
    names = [name for name in _MARKS if _own(source.root, name)]
    found = uncommitted(source, *names) if names else []
    return {name: _content(source.root / name) for name in found if not name.startswith(_AGENT) or name.endswith(".py")}


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "gone"


def _lies_in(path: str, parts: tuple[str, ...]) -> bool:
    return any(path == part or path.startswith(f"{part}/") for part in parts)


def _own(root: Path, name: str) -> Path | None:
    return root / name if (root / _MARKS[name]).is_file() else None
