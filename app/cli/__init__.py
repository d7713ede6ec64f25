"""The command line. A command is imported when it is called: ``config check`` must not wait for a database driver."""

import importlib
import logging

import click

from app.about import NAME, installed_version

logger = logging.getLogger(__name__)

COMMANDS = {
    "backfill": "Fill new columns of old rows, in batches.",
    "config": "Check and show the configuration.",
    "db": "Bring schema and data up to date.",
    "jobs": "List and do jobs.",
    "routes": "List what the application answers.",
    "run": "Serve on this computer, for development.",
    "users": "Create and manage users and their API tokens.",
    "worker": "Do jobs.",
}


class LazyGroup(click.Group):
    """A group whose commands are the modules beside it, each with a ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"app.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, name=NAME)
@click.version_option(installed_version(), prog_name=NAME)
def cli() -> None:
    """Places, people and the way to find them."""


def main() -> None:
    """Run the command line."""
    cli.main(prog_name=NAME)
