"""What a worker does is shown in tests/app/jobs/test_worker.py, with real ones."""


def test_a_worker_with_wrong_settings_says_which(run) -> None:
    result = run("worker", BROKER_URL="http://db1")
    assert result.exit_code == 1
    assert "BROKER_URL: expected the URL of a Redis server" in result.stderr
