"""Watch a rollout from where users are: the prober's requests through the load balancer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deploy import secrets_store
from deploy.contract import Contract
from deploy.environment import Environment
from deploy.facts import Host
from deploy.hosts import Hosts
from deploy.plan import Kind, Plan
from deploy.prober import Prober, first_certificate
from deploy.report import Outcome


@contextmanager
def probing(hosts: Hosts, contract: Contract, before: Sequence[Host], plan: Plan, outcome: Outcome) -> Iterator[None]:
    """Send requests through the load balancer meanwhile, when there is a service to watch.

    A plan that begins with bringing the release does not wait for the first request: users notice nothing of that.
    """
    settings = hosts.environment.file.prober
    requests = [probe.as_request() for probe in contract.probe]
    if not (requests and settings.clients and any(h.in_service for h in before)):
        yield
        return
    if hosts.balancer.is_closed():
        outcome.problems = ("no prober watched: users get the maintenance page",)
        yield
        return
    addresses, shown = _doors(hosts.environment)
    if shown is None:
        outcome.problems = ("no prober watched: the secret TLS_CERTIFICATE is not here, so nothing is trusted",)
        yield
        return
    url = hosts.environment.url
    begins_aside = bool(plan.steps) and plan.steps[0].kind is Kind.STAGE
    clients = max(settings.clients, len(addresses))  # every load balancer is watched
    prober = Prober(
        url, requests, clients, settings.rate, addresses=addresses, certificate=shown, wait=not begins_aside
    )
    try:
        yield
    finally:
        outcome.prober = prober.stop()


def _doors(environment: Environment) -> tuple[tuple[str, ...], str | None]:
    """Say where users come in, whatever their names resolve to here, and what is shown there; None when unknown.

    A certificate of an authority that the system trusts need not be at hand: then nothing ("") is asked of it.
    """
    entry = environment.file.balancer
    if entry.tls == "off":
        return (environment.doors if environment.remote else ()), ""
    bundle = secrets_store.read(environment, ["TLS_CERTIFICATE"])["TLS_CERTIFICATE"]
    if bundle is None:
        return environment.doors, "" if entry.tls == "provided" else None
    return environment.doors, first_certificate(bundle.reveal())
