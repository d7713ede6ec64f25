from typing import Any

import pytest
import svcs

from app.database.session import Session
from app.jobs.models import Arguments, Components, Job, UnknownJob
from app.jobs.runner import JobRunner
from app.logs.context import request_id


def test_a_job_has_components_of_its_own_that_are_closed_at_its_end(registry: svcs.Registry) -> None:
    sessions: list[Session] = []

    def look(components: Components, arguments: Arguments) -> str:
        session = components.get(Session)
        session.connection  # noqa: B018 - opens it
        sessions.append(session)
        if arguments.get("fail"):
            raise OSError("no")
        return f"saw {arguments['what']}"

    runner = JobRunner(registry, [Job("look", "looks", look)])
    assert runner.run("look", {"what": "it"}) == "saw it"
    with pytest.raises(OSError, match="no"):
        runner.run("look", {"fail": True})
    assert len({id(session) for session in sessions}) == 2
    assert [session.opened for session in sessions] == [None, None]


def test_its_lines_carry_the_id_of_the_request_that_asked(
    registry: svcs.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seen: list[Any] = []

    def note(components: Components, arguments: Arguments) -> str:
        seen.append(request_id.get())
        return "noted"

    runner = JobRunner(registry, [Job("note", "notes", note)])
    runner.run("note", {}, "from-a-user")
    runner.run("note", {})
    assert seen[0] == "from-a-user"
    assert len(seen[1]) == 32, "one of its own"
    assert request_id.get() is None
    record = caplog.records[0]
    assert (record.getMessage(), record.__dict__["job"]) == ("job done: noted", "note")


def test_a_failure_is_logged_and_passed_on(registry: svcs.Registry, caplog: pytest.LogCaptureFixture) -> None:
    def fail(components: Components, arguments: Arguments) -> str:
        raise ValueError("bad luck")

    with pytest.raises(ValueError, match="bad luck"):
        JobRunner(registry, [Job("fail", "fails", fail)]).run("fail", {})
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "job failed"


def test_a_job_of_another_release_is_unknown(registry: svcs.Registry) -> None:
    with pytest.raises(UnknownJob, match="there is no job 'new'"):
        JobRunner(registry, []).run("new", {})
