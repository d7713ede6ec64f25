"""Record what this release runs on each database: `make record`. The contract suite asks; app/rehearsal/ gets it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.migrations.databases import Databases, every
from tests.migrations.synthetic import TRACE, own_texts, recording
from tests.migrations.trees import ROOT, Failed, Tree

INTO = ROOT / "app" / "rehearsal"
HOOK = "CONTRACT_DATABASE_URL"


def record(tree: Tree, databases: Databases, trace: Path) -> str:
    """Answer the recording of a tree's suite on one kind of database. Raises Failed."""
    with databases.empty() as urls:
        tree.app(urls.owner, "db", "upgrade")
        tree.app(urls.app, "db", "seed")
        suite = [tree.python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/contract"]
        tree.run(suite, **{HOOK: urls.app, TRACE: str(trace)})
    lines = trace.read_text(encoding="utf-8").splitlines()
    trace.unlink()  # it has the values themselves
    return recording(lines, own_texts(tree.root / "app"))


def main() -> int:
    """Write all recordings anew."""
    with tempfile.TemporaryDirectory(prefix="record-") as name:
        try:
            with every(Path(name)) as kinds:
                for databases in kinds:
                    started = time.monotonic()
                    text = record(Tree(ROOT, "this checkout"), databases, Path(name, "trace"))
                    path = INTO / f"{databases.kind}.json"
                    path.write_text(text, encoding="utf-8")
                    runs = text.count("\n") - text.count('\n"')
                    print(f"{path.relative_to(ROOT)}: {runs} lines, {time.monotonic() - started:.0f} s", flush=True)
        except Failed as error:
            print(f"record: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
