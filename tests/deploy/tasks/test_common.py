"""What tasks share: asking before something is done, and names of hosts."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from deploy.environment import Environment
from deploy.errors import SlipwayError
from deploy.tasks import common
from tests.support.environments import SERVERS, written


class Terminal(io.StringIO):
    """A terminal on which somebody types."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def careful(tmp_path: Path) -> Environment:
    """Describe an environment that wants to be asked."""
    return written(tmp_path, f"confirm = true\n{SERVERS}")


def test_the_name_of_the_environment_is_a_yes(
    careful: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("prod\n"))
    common.confirm(careful, "roll out 2.0", yes=False)
    asked = capsys.readouterr()
    assert asked.err == "prod (https://places.example): roll out 2.0?\nType prod to go on: "
    assert asked.out == "", "what is for machines stays clean"


@pytest.mark.parametrize("typed", ["y\n", "yes\n", "production\n", ""])
def test_anything_else_is_a_no(careful: Environment, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    with pytest.raises(SlipwayError, match="nothing was touched"):
        common.confirm(careful, "roll out 2.0", yes=False)


def test_without_a_terminal_only_yes_is_a_yes(careful: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("prod\n"))
    common.confirm(careful, "roll out 2.0", yes=True)
    with pytest.raises(SlipwayError, match="no terminal") as raised:
        common.confirm(careful, "roll out 2.0", yes=False)
    assert (raised.value.exit_code, raised.value.hint) == (2, "--yes says yes")


def test_others_are_not_asked_unless_it_always_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    environment = written(tmp_path)
    common.confirm(environment, "roll out 2.0", yes=False)
    with pytest.raises(SlipwayError):
        common.confirm(environment, "take the lease", yes=False, always=True)


def test_hosts_are_web_hosts_of_the_environment(careful: Environment) -> None:
    assert common.hosts_named(careful, "web2, web1") == ["web2", "web1"]
    assert common.hosts_named(careful, "") == []
    with pytest.raises(SlipwayError, match="did you mean 'web1'"):
        common.hosts_named(careful, "web1,wbe1")
