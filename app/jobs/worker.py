"""The worker process: with a broker it takes jobs; without one it does the periodic jobs itself.

It says that it is ready when it can take a job, and at SIGTERM finishes what it has in hand and leaves.
"""

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Callable
from typing import Any

import svcs

from app.about import NAME
from app.clock import Clock
from app.jobs.at_once import AtOnce
from app.jobs.periodic import Periodic, always_first
from app.jobs.runner import JobRunner
from app.logs import configure_logging
from app.settings import Settings

logger = logging.getLogger(__name__)

Ready = Callable[[], None]


def work(settings: Settings, registry: svcs.Registry, ready: Ready) -> int:
    """Work until SIGTERM; return the exit status."""
    with svcs.Container(registry) as components:
        runner, clock = components.get(JobRunner), components.get(Clock)
    if settings.broker_url:
        return take_jobs(settings, registry, runner, clock, ready)
    do_periodic_jobs(runner, clock, ready)
    return 0


def do_periodic_jobs(runner: JobRunner, clock: Clock, ready: Ready) -> None:
    """Do what is due, one job after the other."""
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    logger.info("no BROKER_URL: periodic jobs only; others are done where they are asked for")
    ready()
    Periodic(runner.jobs.values(), AtOnce(runner), clock, always_first).run_until(leaving)


def take_jobs(settings: Settings, registry: svcs.Registry, runner: JobRunner, clock: Clock, ready: Ready) -> int:
    """Be a Celery worker."""
    from celery import signals
    from celery.exceptions import SecurityWarning
    from celery.worker import state

    from app.jobs.broker import Broker, first_to_ask, make_celery, register

    # Of root, and of users that no file names, as in containers: because of pickle, which is not accepted here.
    warnings.simplefilter("ignore", SecurityWarning)
    celery = make_celery(settings)
    register(celery, runner)
    leaving = threading.Event()
    periodic = Periodic(runner.jobs.values(), Broker(celery), clock, first_to_ask(settings))

    def beside() -> None:
        periodic.run_until(leaving)
        logger.info("worker leaves: it finishes the jobs that it has")

    def leave(*_: Any) -> None:
        leaving.set()
        state.should_stop = 0

    def begin(**_: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)  # Celery's own do the same, and write lines that are no log
        threading.Thread(target=beside, daemon=True, name="periodic").start()
        logger.info("worker ready", extra={"processes": settings.worker_processes})
        ready()

    connected = [
        (signals.setup_logging, lambda **_: configure_logging(settings)),
        (signals.worker_ready, begin),
        (signals.worker_process_shutdown, lambda **_: registry.close()),
    ]
    for sent, receiver in connected:
        sent.connect(receiver, weak=False)
    worker = celery.Worker(
        hostname=f"{NAME}-{settings.release_generation or 'x'}@{socket.gethostname()}",
        pool="prefork",
        concurrency=settings.worker_processes,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
