def test_an_invalid_environment_is_a_message_and_not_a_traceback(run) -> None:
    result = run("db", "current", SECRET_KEY=None, LOG_LEVEL="LOUD")
    assert result.exit_code == 1
    assert "SECRET_KEY: expected" in result.stderr
    assert "LOG_LEVEL: expected" in result.stderr
    assert result.stdout == ""
