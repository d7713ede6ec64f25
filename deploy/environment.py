"""Environment files: `deploy/environments/<name>.toml`, checked in full, each mistake with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import database, toml_model
from deploy.batches import CONFIRM
from deploy.contract_model import Slipway
from deploy.environment_model import ANY, NAME, PORT, EnvironmentFile, HostEntry
from deploy.errors import SlipwayError
from deploy.toml_model import nearest
from deploy.toml_position import Document, load

ROOT = Path(__file__).resolve().parent.parent
WAIT = 600  # seconds that `--wait` alone means
DIRECTORY = ROOT / "deploy" / "environments"


class EnvironmentFileError(SlipwayError):
    """An environment file can't be used."""


@dataclass(frozen=True)
class Environment:
    """An environment file with its name, and its directory made absolute.

    `directory` is where an environment of `transport = "local"` lives; of others, what the operator's side keeps of it.
    """

    name: str
    directory: Path
    file: EnvironmentFile
    wait: float = 0.0  # seconds to wait for whoever holds the lease
    spare: bool = False  # go on without hosts that can't be reached
    config_files: Mapping[str, str] = field(default_factory=dict)  # of the contract: place in the state, and text
    lacking: tuple[str, ...] = ()  # what the contract asks for and nobody says
    limit: tuple[str, ...] = ()  # hosts that a task is limited to; none named: all

    @property
    def hosts(self) -> dict[str, HostEntry]:
        """Every host."""
        return self.file.hosts

    @property
    def web(self) -> dict[str, HostEntry]:
        """The hosts that serve the application, in the file's order."""
        return self.having("web")

    @property
    def app(self) -> dict[str, HostEntry]:
        """The hosts that run the application: those that serve it, and then those that only work for it."""
        return {**self.web, **self.having("worker"), **self.having("scheduler")}

    def having(self, role: str) -> dict[str, HostEntry]:
        """Give the hosts of a role, in the file's order."""
        return {name: host for name, host in self.file.hosts.items() if role in host.roles}

    @property
    def remote(self) -> bool:
        """Whether hosts are servers that are reached by SSH."""
        return self.file.transport == "ssh"

    @property
    def url(self) -> str:
        """Where users come in."""
        entry = self.file.balancer
        host, _, port = self.doors[0].rpartition(":")
        scheme, usual = ("http", "80") if entry.tls == "off" else ("https", "443")
        return f"{scheme}://{entry.names[0] if entry.names else host}{'' if port == usual else f':{port}'}"

    @property
    def doors(self) -> tuple[str, ...]:
        """Where load balancers listen: at one address, or, where that is any, each at its own."""
        listen = self.file.balancer.listen
        host, _, port = listen.rpartition(":")
        own = [entry.address for entry in self.having("lb").values() if entry.address]
        if host.strip("[]") not in ANY or not own:
            return (listen,)
        return tuple(f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in own)

    def with_options(self, *, wait: object = "", spare: bool = False, limit: Sequence[str] = ()) -> Environment:
        """Give the same environment for a task with `--wait [SECONDS]`, `--skip-unreachable` and `--limit HOSTS`.

        Raises: EnvironmentFileError when `wait` is no number of seconds.
        """
        text = str(WAIT) if wait is True else str(wait or "0")
        if not text.isdigit():
            raise EnvironmentFileError(f"--wait: expected seconds, got {text!r}")
        return replace(self, wait=float(text), spare=spare, limit=tuple(limit))

    def serving(self, app: Slipway, name: str) -> Environment:
        """Give the same environment with what the contract says for all: the environment's own file has precedence."""
        of_database = database.given(app.database, name, self.file) if app.database else database.Given()
        secrets = tuple(dict.fromkeys([*app.secrets, *of_database.secrets, *self.file.secrets]))
        own: dict[str, object] = {
            "variables": {**app.env, **of_database.variables, **self.file.variables},
            "secrets": secrets,
        }
        if app.database and "variable" not in self.file.backup.model_fields_set:
            own["backup"] = self.file.backup.model_copy(update={"variable": app.database.variable})
        files = {**app.config_files, **of_database.config_files}
        file = self.file.model_copy(update=own)
        return replace(self, file=file, config_files=files, lacking=of_database.lacking)

    def pausing(self) -> Environment:
        """Give the same environment with a question after each batch of a rollout."""
        rollout = self.file.rollout.model_copy(update={"pause": CONFIRM, "pause_after": "batch"})
        return replace(self, file=self.file.model_copy(update={"rollout": rollout}))

    @property
    def path(self) -> str:
        """Name the file, as a person finds it."""
        return f"deploy/environments/{self.name}.toml"


def names(directory: Path = DIRECTORY) -> list[str]:
    """List the environments there are."""
    return sorted(path.stem for path in directory.glob("*.toml") if NAME.fullmatch(path.stem))


def read(name: str, directory: Path = DIRECTORY) -> Environment:
    """Read and check `<directory>/<name>.toml`; relative paths in it are taken from the repository's root.

    Raises: EnvironmentFileError with every mistake of the file, each with its line.
    """
    path = directory / f"{name}.toml"
    if not path.is_file():
        raise EnvironmentFileError(f'unknown environment "{name}"{nearest(name, names(directory))}')
    file = _checked(load(path, shown_as=Path("deploy", "environments", path.name)))
    return Environment(name, (ROOT / (file.directory or Path("var", name))).resolve(), file)


def _checked(document: Document) -> EnvironmentFile:
    file, problems = toml_model.read(EnvironmentFile, document)
    if file is None:
        count = f"{len(problems)} mistake{'s' * (len(problems) != 1)}"
        raise EnvironmentFileError(f"{document.path} has {count}; nothing was touched", problems=tuple(problems))
    return file.model_copy(update={"hosts": {name: _listening(host) for name, host in file.hosts.items()}})


def _listening(host: HostEntry) -> HostEntry:
    """Fill in where a server's application listens, when its entry leaves that open."""
    if host.listen or "web" not in host.roles:
        return host
    address = f"[{host.address}]" if ":" in host.address else host.address
    return host.model_copy(update={"listen": f"{address}:{PORT}"})
