"""Run commands as a process would: with an environment of their own."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from app.cli import cli

Run = Callable[..., Result]


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with a valid environment, changed by keyword arguments (None removes a variable)."""

    def invoke(*arguments: str, stdin: str | None = None, **changes: str | None) -> Result:
        wanted = {**environ, **changes}
        monkeypatch.setattr("os.environ", {name: value for name, value in wanted.items() if value is not None})
        return CliRunner().invoke(cli, list(arguments), input=stdin, catch_exceptions=False)

    return invoke
