"""What the hosts of an environment log."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts

FEW, EVERY = 20, 1_000_000  # lines of each host


def logs(
    c: Any,
    environment: str,
    lines: int = 0,
    follow: bool = False,
    limit: str = "",
    level: str = "",
    since: str = "",
    request_id: str = "",
    generation: int = 0,
    json: bool = False,
) -> None:
    """Print the last log lines of the hosts of ENV, in the order of time; with --follow, go on until Ctrl-C."""
    import sys
    import threading
    import time

    from deploy import log_lines
    from deploy.agent.arguments import LEVELS
    from deploy.errors import SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common
    from deploy.toml_model import nearest

    settings, contract = common.open_environment(environment)
    if level and level.lower() not in LEVELS:
        raise SlipwayError(
            f'unknown level "{level}"{nearest(level, list(LEVELS))}', hint=f"levels: {', '.join(LEVELS)}"
        )
    asked = {
        "lines": common.counted("--lines", lines) or (EVERY if since or request_id else FEW),
        "generation": common.counted("--generation", generation) or None,
        "follow": follow,
        "level": level.lower() or None,
        "since": log_lines.moment(since, time.time()),
        "request_id": request_id or None,
    }
    lock = threading.Lock()
    with connect(settings, contract.name) as hosts:
        common.only(hosts, limit)
        hosts.require_bootstrap()
        width = max(map(len, hosts.agents))
        said: dict[str, list[log_lines.Said]] = {name: [] for name in hosts.agents}

        def show(line: log_lines.Said) -> None:
            if json:
                common.say_json(log_lines.as_json(line))
            else:
                sys.stdout.write(f"{log_lines.shown(line, width)}\n")
                sys.stdout.flush()

        def take(name: str, event: Any) -> None:
            line = log_lines.Said(name, event["generation"], event["text"])
            if not follow:
                said[name].append(line)
                return
            with lock:
                show(line)

        _, errors = hosts.attempt(
            lambda name, agent: agent.request(
                "logs", asked, silence=None if follow else 60.0, on_event=lambda event: take(name, event)
            ),
            hosts.agents,
        )
        for line in log_lines.in_order(said):
            show(line)
        if any(said.values()):  # a worker that had nothing to do yet has nothing to say
            errors = {name: error for name, error in errors.items() if getattr(error, "code", "") != "no-log"}
        if errors:
            raise hosts.together(errors)


logs.help = {  # type: ignore[attr-defined]
    "lines": "how many of each host; by default 20, with --since or --request-id all",
    "follow": "go on until Ctrl-C",
    "limit": help_texts.LIMIT,
    "level": "this and above: debug, info, warning, error or critical",
    "since": "from when on: 10m, 2h or 1d ago, 14:05, or 2026-11-23T14:05; looks into earlier generations too",
    "request-id": "only what one request caused; looks into earlier generations too",
    "generation": "of this generation instead of the current one",
    "json": "one object a line",
}
