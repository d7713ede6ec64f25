"""Make a copy of this repository a team's own: `copier copy` and `copier update` run this in each copy they make.

It depends on nothing but the files of the template and the answers, so the same answers give the same bytes, and what
`copier update` compares are the changes of this repository. Only the standard library: copier's own Python runs it.

    python project.py TEMPLATE NAME yes|no      in the copy; yes: with the reference application
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

OLD = "gazetteer"
HISTORY = ("CHANGELOG.md", "docs/decisions/")  # what was, under the name that it had

# Databases have the name with underscores, as deploy/pillar.py gives it to them.
ROLES = re.compile(
    rf"{OLD}(?=_owner|_reader)|(?<=//){OLD}(?=@)|(?<=@\{{db\}}/){OLD}|(?<=@\{{db1\}}/){OLD}|(?<=@db/){OLD}"
    rf"|(?<=@db1/){OLD}|(?<=DATABASE ){OLD}|(?<= ON ){OLD}(?=\.)|(?<= TO ){OLD}|(?<= FROM ){OLD}|(?<=database: ){OLD}"
    rf"|(?<=app: {{name: ){OLD}|(?<=--set role=){OLD}|(?<=--set name=){OLD}|(?<=^      NAME: ){OLD}",
    re.MULTILINE,
)

# Names that servers, this repository and its tests give to something else; distributions come from the locks.
TAKEN = set((Path(__file__).parent / "taken.txt").read_text(encoding="utf-8").split())

# What is left out where the starter is instead of the reference application.
TARGETS = re.compile(r"(bench[a-z-]*|check-migrations|test-desk|test-faults|translations):")
SECTIONS = re.compile(
    r"\[(build-system|project|project\..*|tool\.slipway.*|tool\.setuptools|tool\.setuptools\.packages.*"
    r"|tool\.setuptools\.package-data|tool\.coverage.*|tool\.babel)\]|\[\[(tool\.slipway.*|tool\.babel.*)\]\]"
)
OF_THE_APP = re.compile(r'"app\.')
TABLES = re.compile(r"\[(variables|migrate\..*|hosts\.db1)\]")
HEADER = re.compile(r"\[")


class Refused(Exception):
    """A name that can't be."""


def check(name: str, locks: Iterable[str]) -> None:
    """Refuse a name that something on the servers or in this repository has already."""
    locked = {found for lock in locks for found in re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)}
    if name in TAKEN | locked:
        raise Refused(f"the name {name} is taken: a program, a user, a folder or a distribution has it; take another")


def renamed(text: str, name: str) -> str:
    """Answer a text of the reference application as one of this name."""
    text = ROLES.sub(name.replace("-", "_"), text)
    return text.replace(OLD, name).replace(OLD.capitalize(), name.replace("-", " ").capitalize())


def blocks(text: str, begin: re.Pattern[str]) -> list[str]:
    """Cut a text before every line that begins a block; what is before the first is a block, too."""
    found = [""]
    for line in text.splitlines(keepends=True):
        if begin.match(line):
            found.append("")
        found[-1] += line
    return found


def pyproject(text: str, starter: str) -> str:
    """Put the starter's metadata and contract into ours; groups of dependencies and settings of tools stay."""
    kept = [block for block in blocks(text, HEADER) if not SECTIONS.match(block)]
    return starter + "".join(b for b in kept if not (b.startswith("[[tool.importlinter") and OF_THE_APP.search(b)))


def makefile(text: str) -> str:
    """Leave out the targets that are about the reference application."""
    parts = blocks(text, re.compile(r"[a-z-]+:|##@"))
    kept = "".join(part for part in parts if not TARGETS.match(part))
    gone = rf" {TARGETS.pattern[:-1]}(?= |$)"
    return re.sub(r"^\.PHONY: .*", lambda line: re.sub(gone, "", line[0]), kept, flags=re.MULTILINE)


def environment(text: str) -> str:
    """Leave out database and variables of the reference application."""
    kept = "".join(block for block in blocks(text, HEADER) if not TABLES.match(block))
    kept = kept.replace('["SECRET_KEY", "DATABASE_PASSWORD"]', '["SECRET_KEY"]').rstrip("\n")
    return kept + "\n"


def pipeline(text: str) -> str:
    """Leave out the step that is about migrations."""
    return re.sub(r"^( +- name: [^\n]*\n)? +(- |run: )make check-migrations\n", "", text, flags=re.MULTILINE)


EDITED = {
    "Makefile": makefile,
    ".github/workflows/ci.yml": pipeline,
    ".gitlab-ci.yml": pipeline,
    "deploy/environments/local.toml": environment,
    "deploy/environments/fleet.toml": environment,
}


def start(starter: Path, here: Path) -> list[Path]:
    """Put the starter into the place of the reference application; answer its files."""
    for path, edit in EDITED.items():
        (here / path).write_text(edit((here / path).read_text(encoding="utf-8")), encoding="utf-8")
    ours = (here / "pyproject.toml").read_text(encoding="utf-8")
    text = pyproject(ours, (starter / "pyproject.toml").read_text(encoding="utf-8"))
    files = [path.relative_to(starter) for path in starter.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in files:
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(starter / path, here / path)
    (here / "pyproject.toml").write_text(text, encoding="utf-8")
    return files


def rename(paths: Iterable[Path], here: Path, name: str) -> None:
    """Rename in these files; those that are no text have no name in them."""
    for path in paths:
        file = here / path
        if path.as_posix().startswith(HISTORY) or not file.is_file() or file.is_symlink():
            continue
        before = file.read_bytes()
        if OLD.encode() in before.lower():
            file.write_bytes(renamed(before.decode(), name).encode())


def main() -> int:
    """Do it in the working directory; say what is wrong with the name."""
    template, name, reference = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "yes"
    here = Path.cwd()
    try:
        check(name, [lock.read_text(encoding="utf-8") for lock in sorted(template.glob("packaging/locks/*.txt"))])
    except Refused as refused:
        sys.stderr.write(f"slipway: {refused}\n")
        return 1
    command = ["git", "-C", str(template), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
    files = [Path(path) for path in listed if path]
    if not reference:
        files += start(template / "template/starter", here)
    rename(files, here, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
