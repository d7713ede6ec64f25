"""What the hosts of an environment log."""

from __future__ import annotations

from typing import Any


def logs(c: Any, environment: str, lines: int = 20, follow: bool = False, host: str = "") -> None:
    """Print the last log lines of the hosts of ENV; with --follow, go on until Ctrl-C."""
    import threading

    from deploy.hosts import connect
    from deploy.tasks import common

    settings, contract = common.open_environment(environment)
    lock = threading.Lock()
    with connect(settings, contract.name) as hosts:
        common.only(hosts, host)
        hosts.require_bootstrap()

        def show(name: str, event: Any) -> None:
            with lock:
                common.say(f"{name}  {event['text']}")

        hosts.each(
            lambda name, agent: agent.request(
                "logs",
                {"lines": lines, "generation": None, "follow": follow},
                silence=None if follow else 60.0,
                on_event=lambda event: show(name, event),
            )
        )


logs.help = {"lines": "how many of each host", "follow": "go on until Ctrl-C", "host": "only this host"}  # type: ignore[attr-defined]
