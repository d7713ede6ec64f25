"""The page about another framework says how many lines it takes: count them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "framework-swap.md"
ADAPTER = "app/adapters/falcon.py"


def lines_of_falcon() -> dict[str, int]:
    """All lines of the adapter, and those that name Falcon anywhere else."""
    found = {ADAPTER: len((ROOT / ADAPTER).read_text().splitlines())}
    for path in [*ROOT.glob("app/**/*.py"), ROOT / "pyproject.toml"]:
        name = str(path.relative_to(ROOT))
        lines = [line for line in path.read_text().splitlines() if "falcon" in line.lower()]
        if lines and name != ADAPTER:
            found[name] = len(lines)
    return found


def test_the_page_says_what_it_takes() -> None:
    wanted = lines_of_falcon()
    page = PAGE.read_text()
    told = {name: int(count) for name, count in re.findall(r"^    (\S+) +\| +(\d+) \+", page, re.MULTILINE)}
    assert told == wanted
    assert f"    {len(wanted)} files, {sum(wanted.values())} lines" in page


def test_it_takes_no_use_case_and_no_endpoint() -> None:
    names = lines_of_falcon()
    assert set(names) == {ADAPTER, "app/application.py", "app/settings/model.py", "pyproject.toml"}
    assert sum(names.values()) < 120


def test_every_path_on_the_page_exists() -> None:
    for path in re.findall(r"`((?:app|tests|bench)/[\w./-]*)`", PAGE.read_text()):
        assert (ROOT / path).exists(), path
