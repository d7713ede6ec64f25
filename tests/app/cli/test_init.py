import subprocess
import sys

from app.cli import COMMANDS, cli


def test_every_listed_command_exists(run) -> None:
    shown = run("--help").output
    for name, summary in COMMANDS.items():
        command = cli.get_command(None, name)
        assert command is not None
        assert command.help.startswith(summary.removesuffix("."))
        assert name in shown
        assert run(name, "--help").exit_code == 0


def test_an_unknown_command_is_a_usage_error(run) -> None:
    result = run("nonsense")
    assert result.exit_code == 2
    assert "No such command 'nonsense'" in result.output


def test_checking_an_environment_waits_for_no_database_or_framework() -> None:
    code = """
import sys
from app.cli import cli
cli.main(["config", "check"], standalone_mode=False)
"""
    end = "print([name for name in ('flask', 'sqlalchemy', 'svcs', 'alembic') if name in sys.modules])"
    program = f"import sys, atexit\natexit.register(lambda: {end})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.strip() == "[]"
