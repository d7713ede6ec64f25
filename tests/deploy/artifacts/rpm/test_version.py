"""Versions in rpm keep PEP 440's order, by rpm's own comparison."""

import random
import re
import subprocess

import pytest
from packaging.version import Version

from deploy.artifacts.rpm import version as versions
from deploy.artifacts.rpm.version import RpmVersionError
from tests.support import rpms


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.4.0", "1.4.0"),
        ("1.4.0rc1", "1.4.0~rc1"),
        ("1.4.0a2.dev3", "1.4.0~a2~dev3"),
        ("1.4.0.post1", "1.4.0.post1"),
        ("1.4.0.post1.dev2", "1.4.0.post1~dev2"),
        ("1.5.0.dev3+g12ab34c", "1.5.0~~dev3^g12ab34c"),
        ("0.1.1.dev7+gd25a00c.dirty.00c25478", "0.1.1~~dev7^gd25a00c.dirty.00c25478"),
    ],
)
def test_a_version_in_rpms_words(version: str, expected: str) -> None:
    assert versions.of(version) == expected


def test_an_epoch_is_refused_with_a_way_out() -> None:
    with pytest.raises(
        RpmVersionError, match=r"1!2\.0 is not allowed in rpm: expected a version without the epoch 1!"
    ) as e:
        versions.of("1!2.0")
    assert "git tag v2.0" in e.value.report()


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(RpmVersionError, match="'latest' is not allowed in rpm"):
        versions.of("latest")


def test_the_order_is_kept() -> None:
    """Of 40 versions with all kinds of endings, each is compared with each, in one call of rpm."""
    rpms.need_tools()
    chosen = random.Random(7)  # noqa: S311 - the same each time
    endings = ["", "a1", "a2", "b1", "rc1", ".post1", ".post2", ".dev1", ".dev12", "a1.dev3", "rc1.dev1", ".post1.dev1"]
    endings += ["a1.post1", "+g1a", "+7", ".dev12+g1a", "rc1+7", ".post1+7"]
    listed = [f"{number}{ending}" for number in ("1.4.0", "1.4.1", "1.10.0") for ending in endings]
    listed = chosen.sample(listed, 40)
    pairs = [(one, other) for one in listed for other in listed if Version(one) < Version(other)]
    calls = " ".join(f'print(rpm.vercmp("{versions.of(a)}", "{versions.of(b)}") .. " ")' for a, b in pairs)
    said = subprocess.run(["rpm", "--eval", f"%{{lua:{calls}}}"], capture_output=True, text=True, check=True).stdout
    answers = re.findall(r"-?\d+", said)
    assert len(answers) == len(pairs)
    assert not [pair for pair, answer in zip(pairs, answers, strict=True) if answer != "-1"]
