import pytest

from tests.support.postgres import DATABASES


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


CREATE = ("users", "create", "me@example.org", "--name", "Me", "--password-stdin")
PASSWORD = "correct horse battery\n"


def test_a_user_is_created_and_gets_a_token_once(run) -> None:
    assert run(*CREATE, stdin=PASSWORD).stdout == "user 1 created\n"
    result = run("users", "token", "me@example.org")
    assert result.stdout.startswith("gzt_")
    assert len(result.stdout.splitlines()) == 1, "so that a script can take it"
    assert "shown this once" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (CREATE, "short\n", "12 to 128 characters"),
        (
            ("users", "create", "nonsense", "--name", "x", "--password-stdin"),
            PASSWORD,
            "not an e-mail address",
        ),
        (("users", "token", "you@example.org"), "", "no user with this e-mail"),
    ],
)
def test_what_is_refused_is_a_message(run, arguments: tuple[str, ...], stdin: str, message: str) -> None:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_the_password_is_asked_for_twice_and_not_shown(run) -> None:
    result = run(*CREATE[:-1], stdin=PASSWORD * 2)
    assert result.stdout.endswith("user 1 created\n")
    assert PASSWORD.strip() not in result.output


def test_an_address_is_taken_once(run) -> None:
    run(*CREATE, stdin=PASSWORD)
    result = run(*CREATE, stdin=PASSWORD)
    assert result.exit_code == 1
    assert "already" in result.stderr


def test_without_a_schema_it_says_what_to_type(run, tmp_path) -> None:
    result = run(*CREATE, stdin=PASSWORD, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")
    assert result.exit_code == 1
    assert "db upgrade" in result.stderr
