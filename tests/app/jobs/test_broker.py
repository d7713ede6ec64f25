import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import svcs
from kombu.exceptions import OperationalError

from app.components import build_registry
from app.jobs import broker as brokers
from app.jobs.broker import Broker, configuration, first_to_ask, make_celery
from app.jobs.models import JobQueue
from app.logs.context import request_context
from app.settings import Settings
from tests.support import redis
from tests.support.ports import free_ports


@pytest.fixture
def brokered(environ: dict[str, str], broker: redis.Server) -> Settings:
    return Settings.from_environ({**environ, **broker.variables})


@pytest.fixture
def components(brokered: Settings) -> Iterator[svcs.Container]:
    with build_registry(brokered) as registry, svcs.Container(registry) as container:
        yield container


def test_a_job_waits_in_the_queue_with_the_id_of_the_request(components: svcs.Container, broker: redis.Server) -> None:
    with request_context("from-a-user"):
        components.get(JobQueue).enqueue("note", {"place": 4})
    with broker.client() as client:
        assert client.llen("gazetteer") == 1
        message = json.loads(client.lindex("gazetteer", 0))
    assert message["headers"]["task"] == brokers.TASK
    assert json.loads(message["headers"]["argsrepr"].replace("'", '"')) == ["note", {"place": 4}, "from-a-user"]


def test_the_queue_lives_as_long_as_the_process(brokered: Settings) -> None:
    with build_registry(brokered) as registry, svcs.Container(registry) as one, svcs.Container(registry) as other:
        assert one.get(JobQueue) is other.get(JobQueue)


def test_arguments_are_what_json_can_say(components: svcs.Container) -> None:
    with pytest.raises(TypeError):
        components.get(JobQueue).enqueue("note", {"when": object()})


def test_whoever_asks_hears_that_the_broker_is_away(environ: dict[str, str]) -> None:
    settings = Settings.from_environ({**environ, "BROKER_URL": f"redis://127.0.0.1:{free_ports(1)[0]}"})
    queue = Broker(make_celery(settings))
    with pytest.raises(OperationalError):
        queue.enqueue("note")
    queue.close()


def test_a_job_is_given_out_again_only_when_none_can_be_in_hand(brokered: Settings) -> None:
    found = configuration(brokered)
    assert found["broker_transport_options"]["visibility_timeout"] > found["task_time_limit"]
    assert (found["task_acks_late"], found["task_reject_on_worker_lost"]) == (True, True)


def test_of_several_workers_one_asks_for_a_turn(brokered: Settings) -> None:
    one, other = first_to_ask(brokered), first_to_ask(brokered)
    assert [one("hourly", 1, 3600), other("hourly", 1, 3600), other("hourly", 2, 3600)] == [True, False, True]


def test_a_web_server_imports_celery_when_it_hands_over_its_first_job(environ: dict[str, str]) -> None:
    """It takes a third of a second, and 20 MB in each of gunicorn's workers."""
    code = "import app.wsgi, sys; print([name for name in ('celery', 'kombu', 'redis') if name in sys.modules])"
    variables = {**environ, "BROKER_URL": "redis://127.0.0.1:6379/0"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
