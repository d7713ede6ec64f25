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


def test_an_admin_is_made_and_unmade_and_there_is_always_one(run) -> None:
    run(*CREATE, "--admin", stdin=PASSWORD)
    run("users", "create", "you@example.org", "--name", "You", "--password-stdin", stdin=PASSWORD)
    refused = run("users", "demote", "me@example.org")
    assert refused.exit_code == 1
    assert "no admin" in refused.stderr
    assert run("users", "promote", "you@example.org").stdout == "user 2 is an admin now\n"
    assert run("users", "demote", "me@example.org").stdout == "user 1 is an admin no more\n"
    assert "Only admins" in run("users", "token", "me@example.org", "--scope", "admin").stderr
    assert run("users", "token", "you@example.org", "--scope", "admin", "--days", "1").stdout.startswith("gzt_")
    assert "no user with this e-mail" in run("users", "promote", "nobody@example.org").stderr


def test_users_are_listed_deactivated_and_activated(run) -> None:
    run(*CREATE, stdin=PASSWORD)
    assert run("users", "deactivate", "me@example.org").stdout == "user 1 deactivated\n"
    assert "1  deactivated  last log-in never       me@example.org  Me" in run("users", "list").stdout
    assert run("users", "activate", "me@example.org").stdout == "user 1 may log in again\n"
    run("users", "token", "me@example.org")
    (line,) = run("users", "list", "ME@").stdout.splitlines()
    assert line.split()[:2] == ["1", "user"]
    assert "never" not in line
    assert run("users", "list", "nobody").stdout == ""


def test_a_password_is_set(run) -> None:
    run(*CREATE, stdin=PASSWORD)
    assert run("users", "password", "me@example.org", "--password-stdin", stdin="x\n").exit_code == 1
    done = run("users", "password", "me@example.org", "--password-stdin", stdin="another horse battery\n")
    assert "password of user 1 set" in done.stdout
    assert "another horse" not in done.output


def test_a_second_factor_is_turned_off_for_who_lost_it(run) -> None:
    run(*CREATE, stdin=PASSWORD)
    assert run("users", "reset-second-factor", "me@example.org").stdout == "user 1 had no second factor\n"
