import pytest

from app.background import JOBS

NAME = "auth.remove-expired-tokens"


def test_every_job_is_listed_with_its_time(run) -> None:
    lines = {line.split("  ")[0].strip(): line for line in run("jobs", "list").stdout.splitlines()}
    assert set(lines) == {job.name for job in JOBS}
    assert "every 1:00:00" in lines[NAME]


def test_a_job_is_done_now_and_says_what_it_did(run) -> None:
    assert run("jobs", "run", NAME).stdout == "0 expired tokens removed\n"
    assert run("jobs", "run", NAME, "--queue").stdout == f"{NAME}: queued\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such-job",), f"there is no job 'no-such-job'; expected one of {', '.join(job.name for job in JOBS)}"),
        ((NAME, "--arguments", "{"), "--arguments: expected a JSON object; "),
        ((NAME, "--arguments", "[]"), "expected a JSON object; got list"),
    ],
)
def test_a_mistake_is_a_message(run, arguments: tuple[str, ...], message: str) -> None:
    result = run("jobs", "run", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
