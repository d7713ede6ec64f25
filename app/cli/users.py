"""``gazetteer users``: people, from the command line."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from app.cli.environment import fail, settings_or_exit
from app.errors import Refused
from app.scopes import Scope

if TYPE_CHECKING:
    import svcs

    from app.users.models import UserChanges

logger = logging.getLogger(__name__)


PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking for it."
)


@click.group()
def command() -> None:
    """Create and manage users and their API tokens."""


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
@click.option("--admin", is_flag=True, help="Make them an admin.")
@PASSWORD_STDIN
def create(email: str, name: str, admin: bool, password_stdin: bool) -> None:
    """Create a user. The password is never an argument: every user of a computer can see those."""
    password = read_password(ask=not password_stdin)
    with components() as container:
        from app.users.admin import UserAdmin
        from app.users.models import Role
        from app.users.services import Users
        from app.users.utils import acceptable_password, normalise_email

        acceptable_password(password, normalise_email(email))
        user = container.get(Users).create(email, name, password)
        if admin:
            container.get(UserAdmin).edit(None, user.id, {"role": Role.ADMIN})
        click.echo(f"user {user.id} created")


@command.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What the token is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    default=(Scope.READ.value, Scope.WRITE.value),
    show_default=True,
    help="What it may be used for; may be given several times.",
)
@click.option("--days", type=click.IntRange(1, 366), help="Days until it expires, if sooner than API_TOKEN_DAYS.")
def token(email: str, name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Issue an API token. It is printed this once."""
    with components() as container:
        from app.auth.services import Tokens

        wanted = frozenset(map(Scope, scopes))
        issued = container.get(Tokens).issue(email, name, scopes=wanted, days=days)
        click.echo(issued.secret)
        click.echo(f"expires {issued.expires_at:%Y-%m-%d}; shown this once", err=True)


@command.command("list")
@click.argument("text", default="")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
def list_users(text: str, limit: int) -> None:
    """List users, those with TEXT in their name or address."""
    with components() as container:
        from app.users.admin import UserAdmin
        from app.users.models import UserQuery

        for user in container.get(UserAdmin).search(None, UserQuery(text), limit=limit):
            seen = f"{user.last_login_at:%Y-%m-%d}" if user.last_login_at else "never"
            state = user.role.value if user.active else "deactivated"
            click.echo(f"{user.id:>6}  {state:<11}  last log-in {seen:<10}  {user.email}  {user.name}")


def edit(email: str, changes: "UserChanges", said: str) -> None:
    """Change a user and say so."""
    with components() as container:
        from app.users.admin import UserAdmin

        admin = container.get(UserAdmin)
        user = admin.edit(None, admin.by_email(email).id, changes)
        click.echo(f"user {user.id} {said}")


@command.command()
@click.argument("email")
def promote(email: str) -> None:
    """Make a user an admin."""
    from app.users.models import Role

    edit(email, {"role": Role.ADMIN}, "is an admin now")


@command.command()
@click.argument("email")
def demote(email: str) -> None:
    """Make an admin a user like any other."""
    from app.users.models import Role

    edit(email, {"role": Role.USER}, "is an admin no more")


@command.command()
@click.argument("email")
def deactivate(email: str) -> None:
    """Sign a user out everywhere, and let them in no more."""
    edit(email, {"active": False}, "deactivated")


@command.command()
@click.argument("email")
def activate(email: str) -> None:
    """Let a user in again."""
    edit(email, {"active": True}, "may log in again")


@command.command()
@click.argument("email")
@PASSWORD_STDIN
def password(email: str, password_stdin: bool) -> None:
    """Set a user's password, and sign them out everywhere."""
    chosen = read_password(ask=not password_stdin)
    with components() as container:
        from app.auth.accounts import Accounts
        from app.users.admin import UserAdmin

        user = container.get(UserAdmin).by_email(email)
        container.get(Accounts).set_password(user, chosen)
        click.echo(f"password of user {user.id} set")


@command.command("reset-second-factor")
@click.argument("email")
def reset_second_factor(email: str) -> None:
    """Turn the second factor of somebody off who has lost it and their recovery codes."""
    with components() as container:
        from app.auth.second_factors import SecondFactors
        from app.users.admin import UserAdmin

        user = container.get(UserAdmin).by_email(email)
        removed = container.get(SecondFactors).remove(user)
        click.echo(f"user {user.id} " + ("needs no code any more" if removed else "had no second factor"))
