"""The contract is read once, typed and frozen; every mistake in it is reported at once, with its line."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy import contract
from deploy.contract import Contract, ContractError
from deploy.errors import Exit
from deploy.toml_model import known_keys
from deploy.toml_position import TomlError

ROOT = Path(__file__).parents[2]
SMALL = """\
[project]
name = "shop"

[tool.slipway]
app = "shop.wsgi:application"
python = "3.11"
lock = "locks/shop.txt"
"""


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ContractError) as error:
        contract.parse(text)
    return error.value.problems


def test_reads_the_contract_of_this_repository() -> None:
    read = contract.read(ROOT)
    assert read.name == read.project.name
    assert read.app == "app.wsgi:application"
    assert read.interpreter == f"/usr/bin/python{read.python}"
    assert read.migrations is not None
    assert (ROOT / read.lock).is_file()
    assert read.commands.defined()["migrate"] == ("-m", "app", "db", "upgrade", "{revision}")
    assert read.probe[1].body == {"query": "Lisbon"}


def test_what_is_not_said_has_a_default() -> None:
    read = contract.parse(SMALL)
    assert (read.server.workers, read.health.ready, read.commands.defined(), read.probe) == (2, "/readyz", {}, ())
    assert read.migrations is None


def test_the_contract_is_frozen() -> None:
    read = contract.parse(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        read.server.workers = 3  # type: ignore[misc]


def test_the_manifest_gets_what_a_server_needs() -> None:
    part = contract.read(ROOT).for_manifest()
    assert set(part) == {"app", "server", "health", "commands", "processes"}
    assert part["server"]["graceful_timeout"] == 30
    assert part["commands"]["seed"] == ["-m", "app", "db", "seed"]


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
[project]
name = "Gazetteer App"
dependencies = [
    "flask>=3",
    "click >>= 3",
]
scriptz = {}

[tool.slipway]
python = "3"
lock = "/etc/lock.txt"

[tool.slipway.server]
wokers = 2
timeout = "60"
threads = 0

[tool.slipway.commands]
check = []

[[tool.slipway.probe]]
path = "/a"
[[tool.slipway.probe]]
path = "b"
method = "post"
"""
    assert [problem.split(": ", 2)[:2] for problem in mistakes(text)] == [
        ["pyproject.toml:2:1", "project.name"],
        ["pyproject.toml:5:5", "project.dependencies[1]"],
        ["pyproject.toml:7:1", "project.scriptz"],
        ["pyproject.toml:9:1", "tool.slipway.app"],
        ["pyproject.toml:10:1", "tool.slipway.python"],
        ["pyproject.toml:11:1", "tool.slipway.lock"],
        ["pyproject.toml:14:1", "tool.slipway.server.wokers"],
        ["pyproject.toml:15:1", "tool.slipway.server.timeout"],
        ["pyproject.toml:16:1", "tool.slipway.server.threads"],
        ["pyproject.toml:19:1", "tool.slipway.commands.check"],
        ["pyproject.toml:24:1", "tool.slipway.probe[1].path"],
        ["pyproject.toml:25:1", "tool.slipway.probe[1].method"],
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('python = "3.11"', "python = 3.11", "expected text in quotes, got 3.11"),
        ("[tool.slipway]", "[tool.slipway]\nhelth = {}", "unknown key; did you mean 'health'?"),
        (
            "[tool.slipway]",
            "[tool.slipway]\nzzz = 1",
            "unknown key; known here: app, commands, config_files, database, env, ",
        ),
        ('app = "shop.wsgi:application"\n', "", "tool.slipway.app: expected, but it is missing"),
        (
            "shop.wsgi:application",
            "shop.wsgi",
            'expected "module:object" or "module:factory()", as in "app.wsgi:application", got "shop.wsgi"',
        ),
        ('lock = "locks/shop.txt"', 'lock = "../x"', "expected a path inside the repository"),
        ("[tool.slipway]", "[tool.slipway]\nserver = 3", "expected a table, got 3"),
        ("[tool.slipway]", "[tool.slipway]\nserver.workers = true", "expected a whole number, got true"),
        (
            'name = "shop"',
            'name = "a-name-that-is-far-too-long-for-a-unix-user"',
            "expected at most 31 lower-case letters",
        ),
    ],
)
def test_a_mistake_says_what_was_expected(old: str, new: str, message: str) -> None:
    found = mistakes(SMALL.replace(old, new))
    assert len(found) == 1
    assert message in found[0]


def test_missing_tables_are_named() -> None:
    assert mistakes("[build-system]\n") == (
        "pyproject.toml:1:1: expected a table [project], there is none",
        "pyproject.toml:1:1: expected a table [tool.slipway], there is none",
    )


def test_the_report_names_the_first_place_to_mend() -> None:
    with pytest.raises(ContractError) as error:
        contract.parse(SMALL.replace("3.11", "3"))
    assert str(error.value) == "pyproject.toml has 1 mistake"
    assert error.value.exit_code == Exit.USAGE
    assert error.value.report().splitlines()[-1] == "  -> mend pyproject.toml:6:1, then run the same command again"


def test_what_is_not_there_or_no_toml_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TomlError, match=r"pyproject\.toml: expected a file, but there is none"):
        contract.read(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(TomlError, match=r"pyproject\.toml:1:9: expected '\]'"):
        contract.read(tmp_path)


def test_suggestions_know_nested_keys() -> None:
    assert known_keys(Contract, ("slipway", "probe", 0)) == {"path", "method", "json"}


OWN = """\
name = "shop"
source = "../shop"
python = "3.11"
app = "shop:create_app()"
"""


def test_an_app_that_knows_nothing_of_slipway_has_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SMALL)
    (tmp_path / "slipway.toml").write_text(OWN)
    read = contract.read(tmp_path)
    assert (read.app, read.lock, read.project.dependencies) == ("shop:create_app()", "slipway.lock", ())
    assert read.adoption is not None
    assert (read.adoption.source, read.adoption.layout) == ("../shop", "wheel")
    assert set(read.for_manifest()) == {"app", "server", "health", "commands", "processes", "proxy_scheme"}


def test_a_file_with_nothing_but_source_points_to_a_contract(tmp_path: Path) -> None:
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "theirs/pyproject.toml").write_text(SMALL)
    (tmp_path / "ours/slipway.toml").write_text('source = "../theirs"\n')
    assert contract.read(tmp_path / "ours").app == "shop.wsgi:application"
    assert contract.home(tmp_path / "ours") == tmp_path / "theirs"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('layuot = "tree"', "slipway.toml:5:1: layuot: unknown key; did you mean 'layout'?"),
        ('layout = "zip"', "slipway.toml:5:1: layout: expected 'wheel' or 'tree', got \"zip\""),
        ('links = { "/var" = "x" }', "slipway.toml:5:11: links./var.[key]: expected a path inside the repository"),
        ('links = { "var/x" = "../x" }', "slipway.toml:5:11: links.var/x: expected a path inside the state directory"),
        ('secrets = ["secret-key"]', "slipway.toml:5:12: secrets[0]: expected the name of a secret: capital letters"),
        ('env = { "A-B" = "x" }', "slipway.toml:5:9: env.A-B.[key]: expected the name of an environment variable"),
        ('requirements = ["a b"]', "slipway.toml:5:17: requirements[0]: expected a requirement"),
        ('smoke = [{ path = "/", status = 99 }]', "slipway.toml:5:24: smoke[0].status: expected"),
        ('system_packages.debian = ["lib pq"]', "slipway.toml:5:27: system_packages.debian[0]: expected the name of a"),
        (
            'system_packages.debain = ["x"]',
            "slipway.toml:5:1: system_packages.debain: unknown key; did you mean 'debian'?",
        ),
        ('processes.beat.command = ["x"]', "slipway.toml:5:1: processes.beat: expected processes.scheduler"),
        (
            'database.driver = "mysql"',
            "slipway.toml:5:1: database.driver: expected what PostgreSQL's address",
        ),
        ('migrate = ["-m", "x"]', "slipway.toml:5:1: migrate: expected commands.migrate"),
        ('sticky = "cooky"', "slipway.toml:5:1: sticky: expected 'no', 'cookie' or 'source'"),
        ('static = { "static/" = 60 }', "slipway.toml:5:12: static.static/.[key]: expected the path of a folder"),
        ('static = { "/a b/" = 60 }', "slipway.toml:5:12: static./a b/.[key]: expected the path of a folder"),
        ('proxy.trusted = ["10.0.0.0/33"]', "slipway.toml:5:18: proxy.trusted[0]: expected an address or a network"),
        ("proxy.timout = 3", "slipway.toml:5:1: proxy.timout: unknown key; did you mean 'timeout'?"),
        ('version = "one"', 'slipway.toml:5:1: version: expected a version, as in "1.4.0"'),
        ('server.class = "eventlet"', "slipway.toml:5:1: server.class: expected 'gthread' or 'sync'"),
    ],
)
def test_a_mistake_in_it_is_named_with_its_place(line: str, message: str) -> None:
    with pytest.raises(ContractError) as error:
        contract.parse(f"{OWN}{line}\n", "slipway.toml")
    (said,) = error.value.problems
    assert said.startswith(message), said


def test_an_app_that_migrates_by_itself_is_loaded_once_to_do_so() -> None:
    read = contract.parse(f"{OWN}self_migrating = true\n", "slipway.toml")
    (word, program) = read.for_manifest()["commands"]["migrate"]
    assert (word, "import_app('shop:create_app()')" in program) == ("-c", True)
