"""``gazetteer users``: people, from the command line."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from pydantic import SecretStr

from app.cli.environment import fail, settings_or_exit
from app.errors import Refused

if TYPE_CHECKING:
    import svcs

logger = logging.getLogger(__name__)


@click.group()
def command() -> None:
    """Create users and API tokens."""


@contextmanager
def components() -> "Iterator[svcs.Container]":
    """Give a command its components; what the use case refuses is its error message."""
    import svcs
    from sqlalchemy.exc import DBAPIError

    from app.components import build_registry
    from app.database.failures import reason

    try:
        with build_registry(settings_or_exit()) as registry, svcs.Container(registry) as container:
            yield container
    except (Refused, ValueError) as error:
        fail(str(error))
    except DBAPIError as error:
        fail(f"the database refused: {reason(error)}; expected an up-to-date schema. Type: db upgrade")


def read_password(*, ask: bool) -> str:
    """Return a password, asked for twice on the terminal or taken from the first line of standard input."""
    if not ask:
        return sys.stdin.readline().rstrip("\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


@command.command()
@click.argument("email")
@click.option("--name", required=True, help="What to call them.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it.")
def create(email: str, name: str, password_stdin: bool) -> None:
    """Create a user. The password is never an argument: every user of a computer can see those."""
    password = read_password(ask=not password_stdin)
    with components() as container:
        from app.users.services import Users
        from app.users.utils import checked_password

        checked_password(SecretStr(password))
        user = container.get(Users).create(email, name, password)
        click.echo(f"user {user.id} created")


@command.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What the token is for.")
def token(email: str, name: str) -> None:
    """Issue an API token. It is printed this once."""
    with components() as container:
        from app.auth.services import Tokens

        issued = container.get(Tokens).issue(email, name)
        click.echo(issued.secret)
        click.echo(f"expires {issued.expires_at:%Y-%m-%d}; shown this once", err=True)
