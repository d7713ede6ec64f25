import pytest

CREATE = ("users", "create", "me@example.org", "--name", "Me", "--password")


def test_a_user_is_created_and_gets_a_token_once(run) -> None:
    assert run(*CREATE, "correct horse battery").stdout == "user 1 created\n"
    result = run("users", "token", "me@example.org")
    assert result.stdout.startswith("gzt_")
    assert len(result.stdout.splitlines()) == 1, "so that a script can take it"
    assert "shown this once" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CREATE, "short"), "12 to 128 characters"),
        (
            ("users", "create", "nonsense", "--name", "x", "--password", "correct horse battery"),
            "not an e-mail address",
        ),
        (("users", "token", "you@example.org"), "no user with this e-mail"),
    ],
)
def test_what_is_refused_is_a_message(run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_an_address_is_taken_once(run) -> None:
    run(*CREATE, "correct horse battery")
    result = run(*CREATE, "correct horse battery")
    assert result.exit_code == 1
    assert "already" in result.stderr


def test_without_a_schema_it_says_what_to_type(run, tmp_path) -> None:
    result = run(*CREATE, "correct horse battery", DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")
    assert result.exit_code == 1
    assert "db upgrade" in result.stderr
