import pytest
import svcs

from app.jobs.at_once import AtOnce
from app.jobs.models import Arguments, Components, Job
from app.jobs.runner import JobRunner
from app.logs.context import request_context, request_id


def queue_of(registry: svcs.Registry, done: list[object]) -> AtOnce:
    def note(components: Components, arguments: Arguments) -> str:
        done.append((dict(arguments), request_id.get()))
        if arguments.get("fail"):
            raise OSError("no")
        return "noted"

    return AtOnce(JobRunner(registry, [Job("note", "notes", note)]))


def test_a_job_is_done_before_the_caller_goes_on(registry: svcs.Registry) -> None:
    done: list[object] = []
    with request_context("from-a-user"):
        queue_of(registry, done).enqueue("note", {"places": (1, 2)})
    assert done == [({"places": [1, 2]}, "from-a-user")], "arguments as another process would get them"


def test_what_fails_fails_nobody_who_only_asked(registry: svcs.Registry, caplog: pytest.LogCaptureFixture) -> None:
    queue = queue_of(registry, [])
    queue.enqueue("note", {"fail": True})
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["job failed"]


def test_arguments_that_json_can_not_say_are_refused_as_by_a_broker(registry: svcs.Registry) -> None:
    with pytest.raises(TypeError):
        queue_of(registry, []).enqueue("note", {"when": object()})
