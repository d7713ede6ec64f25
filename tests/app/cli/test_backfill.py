import pytest
from sqlalchemy import Engine, insert

from app.backfills.runner import Step
from app.cli import backfill
from app.users.tables import users
from tests.app.backfills.test_runner import rows

NAME = "users.split-names"


def test_from_the_list_to_the_end(run, engine: Engine) -> None:
    assert run("backfill", "list").stdout.startswith(f"{NAME}  Given and family name")
    assert run("backfill", "status").stdout == f"{NAME}  not begun\n"
    with engine.begin() as connection:
        connection.execute(insert(users), rows(1, 60))
    assert "workers go on with it" in run("backfill", "run", NAME, "--queue").stdout
    assert run("backfill", "status").stdout == f"{NAME}  0%, 0 rows filled; workers go on with it\n"
    assert run("backfill", "run", NAME).stdout == f"{NAME}: finished, 59 rows filled\n"
    assert "59 rows filled" in run("backfill", "status").stdout
    assert "finished" in run("backfill", "status").stdout


def test_one_that_there_is_not_is_told(run) -> None:
    result = run("backfill", "run", "users.nothing")
    assert result.exit_code == 1
    assert f"there is no backfill 'users.nothing'; expected one of {NAME}" in result.stderr


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "TELL_SECONDS", 0.0)
    with backfill.Lines(NAME) as lines:
        lines(Step(50, 100, 40))
        lines(Step(50, 100, 40, "2 wait for a lock"))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{NAME}: 50%, 40 rows, about ")
    assert second == f"{NAME}: waiting: 2 wait for a lock"


def test_a_terminal_gets_a_bar_with_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            return None

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with backfill.Bar(NAME) as bar:
        bar(Step(50, 100, 40))
        bar(Step(50, 100, 40, "2 wait for a lock"))
        bar(Step(100, 100, 80))
    assert "40 rows" in terminal.text
    assert "waiting: 2 wait for a lock" in terminal.text
    assert "100%" in terminal.text


def test_a_share_of_nothing_is_all() -> None:
    assert backfill.share(0, 0) == 1.0
    assert backfill.share(5, 10) == 0.5
    assert backfill.share(11, 10) == 1.0
