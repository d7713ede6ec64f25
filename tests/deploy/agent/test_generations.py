"""Generations: made whole or not at all, never changed, and nothing secret where others can read it."""

from __future__ import annotations

import hmac
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.agent import generations
from deploy.agent.layout import Layout
from tests.deploy.agent.kit import AgentFailure, call, receive_request, sha256, small

ONE = small()
VARIABLES = {"A": "1", "QUOTED": 'a "b" $c `d` \\e', "LINES": "one\ntwo", "EMPTY": ""}
SECRETS = {"SECRET_KEY": "hunter2\n"}


@pytest.fixture
def staged(layout: Layout) -> Layout:
    """Give a server that has release 1.0."""
    call(layout, **receive_request(ONE))
    call(layout, "assemble", manifest=ONE.text)
    return layout


def prepare(layout: Layout, **changes: Any) -> dict[str, Any]:
    request = {
        "generation": 1, "version": "1.0", "digest": ONE.digest, "variables": VARIABLES, "secrets": SECRETS, **changes,
    }  # fmt: skip
    return call(layout, "prepare", **request)


def test_a_generation_is_a_release_and_its_environment(staged: Layout) -> None:
    """The link is relative, secrets are files of their own, and only the owner reads any of it."""
    assert prepare(staged) == {"created": True}
    path = staged.generation(1)
    assert str((path / "release").readlink()) == "../../releases/1.0"
    assert (path / "release/lib/a.py").read_bytes() == b"a = 1\n"
    assert (path / "credentials/SECRET_KEY").read_text() == "hunter2\n"
    modes = {name: (path / name).stat().st_mode & 0o777 for name in ("env", "meta.json", "credentials")}
    assert modes == {"env": 0o600, "meta.json": 0o600, "credentials": 0o700}
    assert "hunter2" not in (path / "env").read_text() + (path / "meta.json").read_text()
    found = generations.load(staged, 1)
    assert found.variables == VARIABLES
    [listed] = call(staged, "status")["generations"]
    assert "variables" not in listed
    assert listed["env_digest"] == generations.env_digest(VARIABLES, SECRETS)


def test_what_it_runs_with_can_be_compared_and_no_secret_is_told(staged: Layout) -> None:
    prepare(staged)
    found = call(staged, "variables", generation=1, salt="s1")
    assert found["variables"] == VARIABLES
    mark = hmac.new(b"s1", SECRETS["SECRET_KEY"].encode(), "sha256").hexdigest()
    assert found["secrets"] == {"SECRET_KEY": mark}
    assert call(staged, "variables", generation=1, salt="s2")["secrets"] != found["secrets"]
    with pytest.raises(AgentFailure) as caught:
        call(staged, "variables", generation=7, salt="s1")
    assert caught.value.code == "no-generation"


def test_the_same_again_is_nothing(staged: Layout) -> None:
    """Not even the time it was made changes."""
    prepare(staged)
    before = (staged.generation(1) / "meta.json").read_bytes()
    assert prepare(staged) == {"created": False}
    assert (staged.generation(1) / "meta.json").read_bytes() == before


@pytest.mark.parametrize("changes", [{"variables": {}}, {"secrets": {"SECRET_KEY": "other"}}, {"secrets": {}}])
def test_other_contents_under_a_number_are_refused(staged: Layout, changes: dict[str, Any]) -> None:
    """The hint says which number is free."""
    prepare(staged)
    with pytest.raises(AgentFailure) as caught:
        prepare(staged, **changes)
    assert caught.value.code == "generation-exists"
    assert caught.value.error["hint"] == "use number 2"
    assert generations.load(staged, 1).variables == VARIABLES


REFUSED = {
    "no such release": ({"version": "9"}, "no-release"),
    "another manifest": ({"digest": "0" * 64}, "tampered"),
    "name with a blank": ({"variables": {"A B": "1"}}, "bad-environment"),
    "name with =": ({"variables": {"A=B": "1"}}, "bad-environment"),
    "path as a secret's name": ({"secrets": {"../x": "1"}}, "bad-environment"),
    "NUL": ({"variables": {"A": "1\0"}}, "bad-environment"),
    "ours": ({"variables": {"RELEASE_VERSION": "1"}}, "bad-environment"),
    "both": ({"variables": {"X": "1"}, "secrets": {"X": "1"}}, "bad-environment"),
    "file of a secret": ({"variables": {"X_FILE": "1"}, "secrets": {"X": "1"}}, "bad-environment"),
    "number as a value": ({"variables": {"X": 1}}, "bad-argument"),
    "generation 0": ({"generation": 0}, "bad-argument"),
    "generation true": ({"generation": True}, "bad-argument"),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_a_generation(staged: Layout, changes: dict[str, Any], code: str) -> None:
    """Nothing is made, and no value of a secret is in the error."""
    with pytest.raises(AgentFailure) as caught:
        prepare(staged, **changes)
    assert caught.value.code == code
    assert "hunter2" not in str(caught.value)
    assert generations.numbers(staged) == []


def test_the_environment_digest_is_that_of_the_protocol() -> None:
    """docs/reference/agent.md: canonical JSON of secrets and variables."""
    expected = sha256(b'{"secrets":{"S":"2"},"variables":{"A":"1","B":"\\u00e9"}}')
    assert generations.env_digest({"B": "\u00e9", "A": "1"}, {"S": "2"}) == expected


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_value_can_be_quoted(value: str) -> None:
    """A shell reads back what was written, as systemd does (the two agree on double quotes)."""
    quoted = generations.quote(value)
    body = quoted[1:-1] if quoted.startswith('"') else quoted
    unescaped = body.replace("\\\\", "\0").replace('\\"', '"').replace("\\$", "$").replace("\\`", "`")
    assert unescaped.replace("\0", "\\") == value
    if not {"$", "`"} & set(value):
        assert shlex.split(quoted) == ([value] if quoted else [])


def test_a_generation_that_can_not_be_read(staged: Layout) -> None:
    """It is an error with the path, and `status` still answers."""
    prepare(staged)
    path = staged.generation(1) / "meta.json"
    path.write_text("{")
    with pytest.raises(AgentFailure) as caught:
        prepare(staged)
    assert caught.value.code == "bad-generation"
    assert str(path) in caught.value.error["message"]
    assert call(staged, "status")["generations"] == []


def test_current(staged: Layout) -> None:
    """A relative link that is exchanged, not removed and made."""
    assert generations.current(staged) is None
    prepare(staged)
    generations.set_current(staged, 1)
    assert (generations.current(staged), str(staged.current.readlink())) == (1, "generations/1")
    inode = staged.current.lstat().st_ino
    generations.set_current(staged, 1)
    assert staged.current.lstat().st_ino == inode
