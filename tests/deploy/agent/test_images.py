"""Comparing what an image has with a manifest."""

from __future__ import annotations

import pytest

from deploy.agent import images, manifest
from tests.deploy.agent.kit import INTERPRETER, sha256, small

RELEASE = small()
WANTED = manifest.parse(RELEASE.text.encode())
RIGHT = {
    "bin/python": f"link to {INTERPRETER}",
    "bin/tool": f"0755 {sha256(RELEASE.files['bin/tool'])}",
    "lib/a.py": f"0644 {sha256(RELEASE.files['lib/a.py'])}",
    "lib/deep/b.py": f"0644 {sha256(b'')}",
    "manifest.json": f"0644 {RELEASE.digest}",
}
WRONG = {
    "missing": ({"lib/a.py": None}, ["lib/a.py"]),
    "more": ({"lib/c.py": f"0644 {sha256(b'')}"}, ["lib/c.py"]),
    "another content": ({"lib/a.py": f"0644 {sha256(b'')}"}, ["lib/a.py"]),
    "another mode": ({"bin/tool": f"4755 {sha256(RELEASE.files['bin/tool'])}"}, ["bin/tool"]),
    "a link instead": ({"bin/tool": "link to /bin/sh"}, ["bin/tool"]),
    "another manifest": ({"manifest.json": f"0644 {sha256(b'')}"}, ["manifest.json"]),
    "a signature": ({"manifest.json.sig": f"0644 {sha256(b'')}"}, []),
}


def test_what_is_as_in_the_manifest_differs_in_nothing() -> None:
    assert images.compare(RIGHT, WANTED) == []


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG)
def test_what_differs_is_named(change: dict[str, str | None], expected: list[str]) -> None:
    found = {path: fact for path, fact in {**RIGHT, **change}.items() if fact is not None}
    assert images.compare(found, WANTED) == expected


LAYERS = [
    (["a", "b", "c"], ["a", "b", "x"], 2),
    (["a", "b", "c"], ["a", "b", "c", "d"], 3),
    (["a", "b", "c"], ["b", "c"], 0),  # a layer counts with all that lie below it
    (["a"], [], 0),
]


@pytest.mark.parametrize(("wanted", "there", "expected"), LAYERS)
def test_layers_are_shared_from_the_lowest(wanted: list[str], there: list[str], expected: int) -> None:
    assert images._common(wanted, there) == expected
