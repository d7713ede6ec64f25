"""What servers get beside a release: units, scripts and the agent, of the very state of the source that is built."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.artifacts.source.checkout import Source
from deploy.artifacts.source.export import unpack

SLIPWAY = Path(__file__).resolve().parents[3]
_TEMPLATES, _AGENT = "packaging", "deploy/agent"
# A folder of that name that lacks this file is something else.
_MARKS = {_TEMPLATES: "packaging/rpm/host.spec.in", _AGENT: "deploy/agent/__main__.py"}


@dataclass(frozen=True)
class Beside:
    """Two folders: `packaging/`, with the templates, and the agent's source."""

    templates: Path
    agent: Path


OURS = Beside(SLIPWAY / _TEMPLATES, SLIPWAY / _AGENT)


@contextmanager
def beside(source: Source, ref: str | None) -> Iterator[Beside]:
    """Give the folders of a commit, or of the checkout as it is; a project that has none of its own gets Slipway's."""
    if ref is None or source.git is None:
        yield Beside(*(_own(source.root, name) or SLIPWAY / name for name in _MARKS))
        return
    with tempfile.TemporaryDirectory(prefix="slipway-beside-") as scratch:
        into = Path(scratch)
        for name, mark in _MARKS.items():
            if source.read(mark) is not None:
                tree = f"{source.tree}:{source.prefix}"
                unpack(source.git.run("archive", "--format=tar", tree, "--", name), into)
        yield Beside(*(_own(into, name) or SLIPWAY / name for name in _MARKS))


def _own(root: Path, name: str) -> Path | None:
    return root / name if (root / _MARKS[name]).is_file() else None
