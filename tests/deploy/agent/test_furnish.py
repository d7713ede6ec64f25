"""What an application finds in its state directory, and the command that prepares its database just once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.agent import furnish, manifest, once
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout

CONTRACT = {
    "links": {"var/shop-instance": "instance", "app/data.sqlite3": "data/shop.sqlite3"},
    "state_dirs": ["uploads/large"],
    "config_files": {"instance/config.py": "INSTANCE_CONFIG_PY"},
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Lay a host out."""
    made = Layout.under(tmp_path / "host", "shop")
    made.make()
    return made


def given(tmp_path: Path, text: str) -> dict[str, str]:
    """Give a configuration file as a secret of the generation."""
    secret = tmp_path / "INSTANCE_CONFIG_PY"
    secret.write_text(text)
    return {"INSTANCE_CONFIG_PY_FILE": str(secret)}


def test_folders_and_configuration_are_there_before_the_app(layout: Layout, tmp_path: Path) -> None:
    furnish.furnish(layout.state, CONTRACT, given(tmp_path, "A = 1\n"))
    assert all((layout.state / folder).is_dir() for folder in ("instance", "data", "uploads/large"))
    config = layout.state / "instance/config.py"
    assert (config.read_text(), config.stat().st_mode & 0o777) == ("A = 1\n", 0o600)
    before = config.stat().st_ino
    furnish.furnish(layout.state, CONTRACT, given(tmp_path, "A = 1\n"))
    assert config.stat().st_ino == before, "what is right is left alone"
    furnish.furnish(layout.state, CONTRACT, given(tmp_path, "A = 2\n"))
    assert config.read_text() == "A = 2\n"
    with pytest.raises(AgentError, match="has no INSTANCE_CONFIG_PY"):
        furnish.furnish(layout.state, CONTRACT, {})


def test_secrets_are_variables_only_where_the_contract_says_so(tmp_path: Path) -> None:
    (tmp_path / "KEY").write_text("k")
    environment = {"KEY_FILE": str(tmp_path / "KEY"), **given(tmp_path, "A = 1\n")}
    names = ("KEY", "INSTANCE_CONFIG_PY")
    assert furnish.revealed(environment, CONTRACT, names) == {}
    assert furnish.revealed(environment, {**CONTRACT, "secrets_in_environment": True}, names) == {"KEY": "k"}


def test_init_runs_once(layout: Layout, tmp_path: Path) -> None:
    furnish.furnish(layout.state, CONTRACT, given(tmp_path, "A = 1\n"))
    assert once.reason_against(layout, CONTRACT) == "", "configuration is no data"
    once.note(layout, once.BEGUN)
    (layout.state / "data/shop.sqlite3").write_bytes(b"half of it")
    assert once.reason_against(layout, CONTRACT) == "", "it was killed on its way"
    once.note(layout, once.DONE)
    assert once.reason_against(layout, CONTRACT).startswith("it ran on 2")


def test_init_does_not_run_where_data_is(layout: Layout) -> None:
    furnish.make(layout.state, "data")
    (layout.state / "data/shop.sqlite3").touch()
    assert once.reason_against(layout, CONTRACT) == "", "SQLite makes an empty file when somebody looks"
    (layout.state / "data/shop.sqlite3").write_bytes(b"years of work")
    assert once.reason_against(layout, CONTRACT) == "there is data already (data/shop.sqlite3)"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("../../../state/instance", None),
        ("../../../state/other", "not into the state"),
        ("../../../../etc", "not into the state"),
    ],
)
def test_a_link_leaves_the_release_only_as_the_contract_says(target: str, problem: str | None) -> None:
    found = manifest.link_problem("var/shop-instance", target, "/usr/bin/python3", CONTRACT["links"])
    assert found is None if problem is None else problem in str(found)
    assert "leads out" in str(manifest.link_problem("var/other", target, "/usr/bin/python3", CONTRACT["links"]))


def test_a_link_can_not_be_told_to_climb_out_of_the_state() -> None:
    target = "../../../state/../../etc"
    assert manifest.link_problem("var/x", target, "/usr/bin/python3", {"var/x": "../../etc"})
