"""Whoever may call the agent backs up this application's databases, and no other's: the agent is root."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.agent.backups import own
from deploy.agent.errors import AgentError
from deploy.agent.layout import Layout


@pytest.fixture
def server(tmp_path: Path) -> Layout:
    """A server's directories, but for where they are."""
    layout = Layout.system("my-shop")._replace(state=tmp_path / "my-shop/state")
    layout.state.mkdir(parents=True)
    (tmp_path / "other.sqlite3").touch()
    (layout.state / "link.sqlite3").symlink_to(tmp_path / "other.sqlite3")
    return layout


@pytest.mark.parametrize("name", ["../../other.sqlite3", "link.sqlite3", "", "../state-of-another/x", "/etc/passwd"])
def test_a_file_elsewhere_is_refused_also_by_a_link(server: Layout, name: str) -> None:
    with pytest.raises(AgentError) as caught:
        own.require_file(server, f"{server.state}/{name}" if not name.startswith("/") else name)
    assert caught.value.code == "not-ours"


def test_a_file_of_its_own_is_fine_and_where_no_server_is_any(server: Layout, tmp_path: Path) -> None:
    own.require_file(server, f"{server.state}/data/app.sqlite3")
    own.require_file(Layout.under(tmp_path, "my-shop"), str(tmp_path / "db/app.sqlite3"))


@pytest.mark.parametrize("name", ["", "host=/tmp user=x", "postgresql://x/y", "-x", "a\0b", "a b", "x" * 64])
def test_what_is_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(AgentError) as caught:
        own.require_name(name)
    assert caught.value.code == "not-ours"


def test_a_database_of_another_role_is_refused(server: Layout, tmp_path: Path) -> None:
    own.require_name("my_shop")
    own.require_owner(server, "my_shop", "my_shop_owner")
    own.require_owner(server, "none", "")
    for owner in ("postgres", "other_owner"):
        with pytest.raises(AgentError, match="no database of this application's"):
            own.require_owner(server, "theirs", owner)
