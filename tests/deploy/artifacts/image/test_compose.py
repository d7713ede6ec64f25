"""compose.yaml: what it says fits the application, and it comes up, on a real engine."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.database.revisions import read_revisions
from app.settings import Settings
from app.settings.table import variables
from deploy import contract, database
from deploy.artifacts.image import engine, trial
from tests.deploy.agent.kit import eventually
from tests.support import composing, images, releases
from tests.support.composing import Project

pytestmark = pytest.mark.timeout(900)  # the first time, servers are put together from Debian's packages
ROOT = releases.ROOT
CONTRACT = contract.read(ROOT)
DOCUMENT = composing.document()
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OF_APP = ("migrate", "seed", "web1", "web2", "worker")
ROLES = database.roles(CONTRACT.name)
OWNER, DATABASE = ROLES["owner"], ROLES["app"]


def test_requests_in_flight_get_the_time_that_the_contract_gives_them() -> None:
    for name in ("web1", "web2"):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) >= CONTRACT.server.graceful_timeout + 10
    grace = int(SERVICES["worker"]["stop_grace_period"].rstrip("s"))
    assert grace >= CONTRACT.processes["worker"].stop_seconds + 10


def test_the_parts_wait_for_one_another() -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    assert waits == {
        "db": {},
        "migrate": {"db": "service_healthy"},
        "seed": {"migrate": "service_completed_successfully"},
        "web1": {"migrate": "service_completed_successfully"},
        "web2": {"migrate": "service_completed_successfully"},
        "worker": {"migrate": "service_completed_successfully", "redis": "service_started"},
        "lb": {"web1": "service_healthy", "web2": "service_healthy"},
        "redis": {},
    }


def test_every_image_is_an_argument() -> None:
    for name, service in SERVICES.items():
        assert re.match(r"\$\{[A-Z]+:[-?]", service["image"]), name
    assert {SERVICES[name]["image"] for name in OF_APP} == {SERVICES["web1"]["image"]}, "all from the same"


@pytest.mark.parametrize("name", OF_APP)
def test_the_application_understands_its_variables(name: str, tmp_path: Path) -> None:
    given = dict(SERVICES[name]["environment"])
    known = {row["name"] for row in variables()}
    assert {variable.removesuffix("_FILE") for variable in given} <= known
    for variable, path in list(given.items()):
        if variable.endswith("_FILE"):
            (tmp_path / Path(path).name).write_text("kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E\n")
            given[variable] = str(tmp_path / Path(path).name)
    settings = Settings.from_environ(given)
    role = OWNER if name == "migrate" else DATABASE
    assert settings.database_url == f"postgresql+psycopg://{role}@db/{DATABASE}"
    assert settings.database_password is not None


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_is_a_file_for_those_who_need_it(name: str) -> None:
    service = SERVICES[name]
    wanted = set(re.findall(r"/run/secrets/(\w+)", json.dumps(service)))
    if name == "db":  # packaging/image/database.sh reads these
        wanted |= {"database_password", "database_owner_password", "database_reader_password"}
    assert set(service.get("secrets", ())) == wanted
    assert wanted <= set(DOCUMENT["secrets"])
    for variable, value in service.get("environment", {}).items():
        assert not re.search("PASSWORD|SECRET|KEY", variable) or variable.endswith("_FILE"), variable
        authority = value.partition("://")[2].partition("/")[0]
        assert "@" not in authority or ":" not in authority.split("@")[0], "a password in a URL"


def test_only_migrations_know_the_owner() -> None:
    knows = {name for name in SERVICES if "database_owner_password" in SERVICES[name].get("secrets", ())}
    assert knows == {"db", "migrate"}


def test_each_secret_is_in_the_documentation() -> None:
    page = (ROOT / "docs/reference/image.md").read_text()
    for name, secret in DOCUMENT["secrets"].items():
        assert secret["file"] == f"var/compose/{name}"
        assert re.search(rf"\b{name}\b", page), name


def test_containers_of_the_app_can_do_little() -> None:
    for name in OF_APP:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_only_the_load_balancer_is_reached_from_outside_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(ports) == ["lb"]
    assert all(port.startswith("127.0.0.1:") for port in ports["lb"])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """All of it, running."""
    if engine.problem() is not None:
        pytest.skip(str(engine.problem()))
    try:
        with engine.running(ROOT / engine.STATE) as client:
            base = images.base()
            images.imported(client, base)
            made = images.build(releases.base(), base)
            trial.load(client, made.path)
            servers = composing.servers(client)
            with (
                composing.database(client, servers) as database,
                composing.project(client, tmp_path_factory.mktemp("up"), made.reference, servers, database) as project,
            ):
                project("up", "--detach")
                yield project
    except engine.EngineError as error:
        if "could not be started" not in str(error):
            raise
        pytest.skip(f"{error}: {'; '.join(error.problems)}")  # no cgroups, or no mounts, for root in this container


def ask(project: Project, path: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{project.url}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def sql(project: Project, statement: str) -> str:
    words = ("psql", "-U", "postgres", "-AtX", "-c", statement, DATABASE)
    return project("exec", "-T", "db", *words).strip()


def test_it_serves_what_the_database_keeps(up: Project) -> None:
    assert ask(up, "/readyz") == {"status": "ok", "reasons": []}
    assert ask(up, "/version")["schema_revision"] == read_revisions()[-1].revision
    user = {"email": "me@example.org", "name": "Me", "password": "correct horse battery"}
    assert ask(up, "/api/v1/auth/sign-ups", user)["detail"]
    assert sql(up, "SELECT email FROM letters") == "me@example.org"


def test_the_schema_belongs_to_a_role_that_no_web_container_knows(up: Project) -> None:
    assert sql(up, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == OWNER
    ask(up, "/version")
    connected = set(sql(up, "SELECT DISTINCT usename FROM pg_stat_activity WHERE client_addr IS NOT NULL").split())
    assert connected == {DATABASE}
    for name in ("web1", "web2"):
        assert up("exec", "-T", name, "ls", "/run/secrets").split() == [
            "database_password",
            "redis_password",
            "secret_key",
        ]


def test_a_web_container_less_is_noticed_by_nobody(up: Project) -> None:
    up("stop", "web1")
    try:
        assert all(ask(up, "/version")["name"] == CONTRACT.name for _ in range(10))
    finally:
        up("start", "web1")


def test_redis_asks_for_its_password_and_shows_it_to_nobody(up: Project) -> None:
    password = (up.folder / "var/compose/redis_password").read_text().strip()
    assert "NOAUTH" in up("exec", "-T", "redis", "redis-cli", "ping")
    assert up("exec", "-T", "-e", f"REDISCLI_AUTH={password}", "redis", "redis-cli", "ping") == "PONG\n"
    assert password not in up("exec", "-T", "redis", "cat", "/proc/1/cmdline")


def test_the_worker_does_what_a_web_container_asks_for(up: Project) -> None:
    job = "auth.remove-expired-tokens"
    run = ("exec", "-T", "web1", "gazetteer", "jobs", "run", job, "--queue")
    assert up(*run).endswith(f"{job}: queued\n")
    # The first is the periodic one.
    eventually(lambda: up("logs", "--no-color", "worker").count("job done: 0 expired tokens removed") == 2, 90)
    told = [line for line in up("logs", "--no-color", "worker").splitlines() if "WARNING" in line]
    assert all("SMTP_URL is not set" in line for line in told), told  # which compose.yaml leaves to whoever uses it


def test_no_secret_is_logged(up: Project) -> None:
    said = (
        up("logs", "--no-color")
        + subprocess.run(
            ["docker-compose", "config"], cwd=up.folder, env=up.environment, capture_output=True, text=True, check=True
        ).stdout
    )
    for path in (up.folder / "var/compose").iterdir():
        assert path.read_text().strip() not in said, path.name
