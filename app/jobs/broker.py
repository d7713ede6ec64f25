"""Jobs by a broker: Celery with Redis. Imported only where ``BROKER_URL`` is set: it takes 0.3 s and 20 MB.

A message is taken off the queue when its job is done, not when it is begun (``acks_late``). So a job whose worker was
killed is given out again: at once when one of the worker's processes is gone (``reject_on_worker_lost``), and after
``JOB_SECONDS`` and a little when all of them are, with nobody left to say so. No job may take longer than that, or it
would be given out twice.
"""

import json
import logging
from typing import Any

from celery import Celery

from app.about import NAME
from app.jobs.address import broker_url
from app.jobs.models import Arguments, UnknownJob
from app.jobs.periodic import Claim
from app.jobs.runner import JobRunner
from app.logs.context import request_id
from app.settings import Settings

logger = logging.getLogger(__name__)

TASK = f"{NAME}.job"
MARGIN = 15  # seconds between the longest job and its being given out again
LOOK = 2  # seconds
UNKNOWN_AGAIN = 5.0  # seconds until a job that this release does not know is offered again: a newer worker may
UNKNOWN_TIMES = 720  # how often: for an hour


def make_celery(settings: Settings) -> Celery:
    """Configure Celery; nothing is connected yet."""
    celery = Celery(NAME, broker=broker_url(settings), set_as_current=False)
    celery.conf.update(configuration(settings))
    return celery


def configuration(settings: Settings) -> dict[str, Any]:
    """Return what Celery is told."""
    transport = {
        "visibility_timeout": settings.job_seconds + MARGIN,
        # How often workers look for jobs of the dead. By default that is every 100 seconds.
        "unacked_restore_interval": LOOK,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 30,
        "socket_connect_timeout": 5,
        "socket_timeout": 30,
        "socket_keepalive": True,
    }
    return {
        "task_default_queue": NAME,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_time_limit": settings.job_seconds,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": transport,
        # Whoever asks for a job hears within seconds that the broker is away.
        "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    }


class Broker:
    """Hands jobs to the workers."""

    def __init__(self, celery: Celery) -> None:
        self.celery = celery

    def enqueue(self, name: str, arguments: Arguments | None = None) -> None:
        """Put it into the queue, with the id of the request that asks. Raises kombu's OperationalError."""
        given = json.loads(json.dumps(dict(arguments or {})))
        self.celery.send_task(TASK, args=[name, given, request_id.get()])
        logger.info("job queued", extra={"job": name})

    def close(self) -> None:
        """Give the connections back."""
        self.celery.close()


def register(celery: Celery, runner: JobRunner) -> None:
    """Let this process's workers do jobs."""

    def job(task: Any, name: str, arguments: Arguments, request: str | None = None) -> None:
        try:
            runner.run(name, arguments, request)
        except UnknownJob as error:
            logger.warning("%s: offered again in %g s", error, UNKNOWN_AGAIN, extra={"job": name})
            raise task.retry(countdown=UNKNOWN_AGAIN, exc=error) from error

    celery.task(bind=True, name=TASK, max_retries=UNKNOWN_TIMES)(job)


def first_to_ask(settings: Settings) -> Claim:
    """Let the broker decide which of several workers asks for a periodic job."""
    from redis import Redis

    redis = Redis.from_url(broker_url(settings), socket_timeout=5, socket_connect_timeout=5)

    def claim(name: str, turn: int, seconds: float) -> bool:
        return bool(redis.set(f"{NAME}:turn:{name}:{turn}", 1, nx=True, ex=int(seconds * 2) + 1))

    return claim
