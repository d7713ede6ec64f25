"""What systemd needs on a server, filled from `[project]` and the contract: units, user, directories, variables."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from deploy.contract import Contract
from deploy.errors import SlipwayError

TEMPLATES = Path(__file__).resolve().parents[2] / "packaging"
AFTER_GRACE = 15  # seconds; gunicorn needs up to 10 after its own time-out to kill and reap its workers

# Template below packaging/, place on a server. `{name}` is the project's.
FILES = {
    "systemd/app.socket.in": "/usr/lib/systemd/system/{name}.socket",
    "systemd/app@.service.in": "/usr/lib/systemd/system/{name}@.service",
    "systemd/app-image@.service.in": "/usr/lib/systemd/system/{name}-image@.service",
    "systemd/app.service.in": "/usr/lib/systemd/system/{name}.service",
    "systemd/app.preset.in": "/usr/lib/systemd/system-preset/80-{name}.preset",
    "sysusers.d/app.conf.in": "/usr/lib/sysusers.d/{name}.conf",
    "tmpfiles.d/app.conf.in": "/usr/lib/tmpfiles.d/{name}.conf",
    "etc/app.env.in": "/etc/{name}/{name}.env",
}
# And those of each process that runs beside the web server, by the contract's name for it.
PROCESS_FILES = {
    "systemd/app-process@.service.in": "/usr/lib/systemd/system/{name}-{process}@.service",
    "systemd/app-process-image@.service.in": "/usr/lib/systemd/system/{name}-{process}-image@.service",
}


class TemplateMistake(SlipwayError):
    """A template can't be filled."""


def render(contract: Contract, templates: Path = TEMPLATES) -> dict[str, str]:
    """Answer the text of each file by its place on a server."""
    words = words_of(contract)
    found = {place.format(name=contract.name): fill(template, words, templates) for template, place in FILES.items()}
    for name, process in contract.processes.items():
        own = {**words, "process": name, "process_stop_seconds": process.stop_seconds}
        for template, place in PROCESS_FILES.items():
            found[place.format(name=contract.name, process=name)] = fill(template, own, templates)
    return found


def sudoers(contract: Contract, user: str = "deploy") -> dict[str, str]:
    """Answer what lets `user` call the agent as root, by its place. No package has it: the site says who deploys.

    Its mode is 0440, and `visudo -c` reads it before sudo does: a mistake there locks everybody out.
    """
    return {f"/etc/sudoers.d/{contract.name}": fill("sudoers.d/app.in", {"name": contract.name, "user": user})}


def words_of(contract: Contract) -> dict[str, Any]:
    """Answer what templates may say: nothing that pyproject.toml doesn't."""
    project, server = contract.project, contract.server
    summary = " ".join(project.description.split()).rstrip(".") or contract.name
    return {
        "name": contract.name,
        "summary": summary,
        "url": url_of(project.urls),
        "start_seconds": contract.health.deadline,
        "graceful_seconds": server.graceful_timeout,
        "stop_seconds": server.graceful_timeout + AFTER_GRACE,
        "after_grace": AFTER_GRACE,
    }


def url_of(urls: dict[str, str]) -> str:
    """Choose the address that stands for the project: its home page, or whatever comes first."""
    known = {label.lower().replace("-", "").replace(" ", ""): url for label, url in urls.items()}
    return next((known[label] for label in ("homepage", "repository", "source") if label in known), "") or next(
        iter(urls.values()), ""
    )


def fill(template: str, words: dict[str, Any], templates: Path = TEMPLATES) -> str:
    """Fill a template of `packaging/`; a word that it lacks is an error.

    Raises: TemplateMistake.
    """
    loader = FileSystemLoader(templates)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - no HTML
    try:
        return environment.get_template(template).render(words)
    except TemplateError as error:
        raise TemplateMistake(
            f"packaging/{template} can't be filled: {error.message or type(error).__name__}",
            hint="a commit of another Slipway is built by its own: git worktree add FOLDER REF && make -C FOLDER rpm",
        ) from None
