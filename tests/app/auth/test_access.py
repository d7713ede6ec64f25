import pytest

from app.auth.models import Client
from app.errors import NotAuthenticated, NotFound
from app.scopes import Scope

from .conftest import PASSWORD, World


def test_everything_that_somebody_got_in_with_ends(world: World) -> None:
    session = world.sessions.log_in("me@example.org", PASSWORD, Client()).secret
    token = world.tokens.log_in("me@example.org", PASSWORD, "laptop").secret
    world.accounts.ask_reset("me@example.org")
    link = world.post()
    world.accounts.access.end(2)
    assert world.sessions.authenticate(session).user == world.me
    world.accounts.access.end_links(1)
    with pytest.raises(NotFound):
        world.accounts.check_reset(link)
    assert world.tokens.authenticate(token, Scope.READ) == world.me
    world.accounts.access.end(1)
    with pytest.raises(NotAuthenticated):
        world.sessions.authenticate(session)
    with pytest.raises(NotAuthenticated):
        world.tokens.authenticate(token, Scope.READ)
