"""The contract: all that Slipway knows about the app.

It stands in `[project]` and `[tool.slipway]` of the app's pyproject.toml; or in a slipway.toml, beside an app that
knows nothing of Slipway or anywhere else, which names the app's folder as `source`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy import toml_model
from deploy.contract_model import (
    Adoption,
    Commands,
    Health,
    Migrations,
    Pointer,
    Probe,
    Process,
    Project,
    Server,
    Slipway,
    SlipwayFile,
)
from deploy.errors import SlipwayError
from deploy.toml_model import TomlModel
from deploy.toml_position import Document, load, loads

if TYPE_CHECKING:
    from deploy.environment_model import BalancerEntry

__all__ = ["FILE", "OWN_FILE", "Contract", "ContractError", "Health", "Process", "Server", "Slipway", "SlipwayFile"]

FILE = "pyproject.toml"
OWN_FILE = "slipway.toml"
PATIENCE = 2  # seconds: rendering a whole page on a busy server takes longer than a quarter of one


class ContractError(SlipwayError):
    """The contract has mistakes."""


class Contract(TomlModel):
    """`[project]` and `[tool.slipway]` together: frozen, checked, typed."""

    project: Project
    slipway: Slipway
    adoption: Adoption | None = None  # what slipway.toml says beside that

    @property
    def name(self) -> str:
        """Name the app, and everything that is named after it."""
        return self.project.name

    @property
    def app(self) -> str:
        """Name what gunicorn serves, as `module:object`."""
        return self.slipway.app

    @property
    def python(self) -> str:
        """Name the minor version of Python on the servers."""
        return self.slipway.python

    @property
    def interpreter(self) -> str:
        """Name the interpreter on the servers."""
        return f"/usr/bin/python{self.slipway.python}"

    @property
    def lock(self) -> str:
        """Name the lock file of what ships, relative to pyproject.toml."""
        return self.slipway.lock

    @property
    def server(self) -> Server:
        """Say how gunicorn runs the app."""
        return self.slipway.server

    @property
    def health(self) -> Health:
        """Say where the app answers for its health; one that has just its pages for that may take its time."""
        health = self.slipway.health
        if self.adoption is None or health.patience is not None:
            return health
        return health.model_copy(update={"patience": PATIENCE})

    @property
    def commands(self) -> Commands:
        """Say what can be run with a release."""
        return self.slipway.commands

    @property
    def processes(self) -> dict[str, Process]:
        """Say what runs beside the web server, by name."""
        return self.slipway.processes.defined()

    @property
    def migrations(self) -> Migrations | None:
        """Say where the migrations are, or None."""
        return self.slipway.migrations

    @property
    def probe(self) -> tuple[Probe, ...]:
        """List what the prober sends."""
        return self.slipway.probe

    def for_manifest(self) -> dict[str, Any]:
        """Answer the part of the contract that goes into a release's manifest."""
        return {
            "app": self.app,
            "server": self.server.numbers(),
            "health": self.health.model_dump(exclude_none=True),
            "commands": self._commands(),
            "processes": {name: process.model_dump(mode="json") for name, process in self.processes.items()},
            **self.slipway.for_manifest(),
        }

    def max_request(self, said: "BalancerEntry") -> int:
        """Answer how many seconds a request may take: the environment's own word has precedence."""
        ours = self.slipway.proxy.timeout
        return said.max_request if ours is None or "max_request" in said.model_fields_set else ours

    def _commands(self) -> dict[str, list[str]]:
        """Answer the commands; an app that migrates by itself does so when it is loaded: alone, before it serves."""
        found = {name: list(value) for name, value in self.commands.defined().items()}
        if self.slipway.self_migrating:
            found.setdefault("migrate", ["-c", f"from gunicorn.util import import_app; import_app({self.app!r})"])
        return found


def home(root: Path) -> Path:
    """Answer the folder of the contract: `root`, or where a slipway.toml with nothing but `source` points to."""
    if (root / OWN_FILE).is_file():
        document = load(root / OWN_FILE, shown_as=Path(OWN_FILE))
        if set(document.data) == {"source"}:
            pointer, problems = toml_model.read(Pointer, document)
            if pointer is None:
                raise _mistaken(document, problems)
            return home((root / pointer.source).resolve())
    return root


def read(source: Path) -> Contract:
    """Read the contract of the folder (or file) at `source`; slipway.toml goes before pyproject.toml."""
    path = source
    if source.is_dir():
        folder = home(source)
        path = folder / (OWN_FILE if (folder / OWN_FILE).is_file() else FILE)
    return from_document(load(path, shown_as=Path(path.name)))


def parse(text: str, name: str = FILE) -> Contract:
    """Read the contract from the text of a pyproject.toml or slipway.toml."""
    return from_document(loads(text, Path(name)))


def from_document(document: Document) -> Contract:
    """Read the contract, and report all mistakes at once."""
    if document.path.name == OWN_FILE:
        return _of_own_file(document)
    project, problems = toml_model.read(Project, document, "project")
    slipway, more = toml_model.read(Slipway, document, "tool", "slipway")
    problems += more
    if project is None or slipway is None or problems:
        raise _mistaken(document, problems)
    return Contract(project=project, slipway=slipway)


def _of_own_file(document: Document) -> Contract:
    said, problems = toml_model.read(SlipwayFile, document)
    if said is None:
        raise _mistaken(document, problems)
    project = Project(name=said.name, description=said.description, urls={"Homepage": said.url} if said.url else {})
    if said.proxy.scheme is None:  # it knows of no load balancer, and would send users of HTTPS to http://
        said = said.model_copy(update={"proxy": said.proxy.model_copy(update={"scheme": True})})
    return Contract(project=project, slipway=said, adoption=said)


def _mistaken(document: Document, problems: list[str]) -> ContractError:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return ContractError(
        f"{document.path} has {count}",
        problems=tuple(problems),
        hint=f"mend {problems[0].split(': ', 1)[0]}, then run the same command again",
    )
