"""``gazetteer config``: check an environment before anything is started with it."""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from app.about import NAME
from app.cli.environment import settings_or_exit
from app.settings import InvalidSettings, Problem, Settings
from app.settings.env_file import UnreadableEnvFile, read_env_file
from app.settings.table import env_example, masked, variables

logger = logging.getLogger(__name__)


@click.group()
def command() -> None:
    """Check and show the configuration."""


@command.command()
@click.option("--env-file", type=click.Path(path_type=Path), help="Check this file alone, not the environment.")
@click.option("--json", "as_json", is_flag=True, help='Print {"ok", "errors": [{"variable", "expected", "got"}]}.')
def check(env_file: Path | None, as_json: bool) -> None:
    """Say everything that is wrong with the environment, or with a file of variables. Exits 1 if anything is."""
    problems = find_problems(env_file)
    if as_json:
        errors = [{"variable": p.variable, "expected": p.expected, "got": p.got} for p in problems]
        click.echo(json.dumps({"ok": not problems, "errors": errors}))
    else:
        for problem in problems:
            click.echo(problem, err=True)
        click.echo("ok" if not problems else f"{len(problems)} invalid", err=bool(problems))
    sys.exit(1 if problems else 0)


def find_problems(env_file: Path | None) -> list[Problem]:
    """Return what is wrong with a file of variables, or with this process's environment if there is none."""
    try:
        environ: Mapping[str, str] = read_env_file(env_file) if env_file else os.environ
        Settings.from_environ(environ)
    except UnreadableEnvFile as error:
        return [Problem(str(env_file), "a readable file of NAME=value lines", str(error))]
    except InvalidSettings as error:
        return error.problems
    return []


@command.command()
@click.option("--env", "as_env", is_flag=True, help="As .env.example.")
def schema(as_env: bool) -> None:
    """Print the table of variables as JSON."""
    click.echo(env_example(NAME) if as_env else json.dumps(variables(), indent=2), nl=not as_env)


@command.command()
def show() -> None:
    """Print the values in force, secrets masked."""
    for name, value in masked(settings_or_exit()).items():
        click.echo(f"{name}={value}")
