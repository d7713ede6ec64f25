"""What is found in an application's repository, guessed and missing, and the slipway.toml that follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import contract
from deploy.adopt import inspect, write
from deploy.adopt.adopting import AdoptFailed, adopt
from deploy.contract import ContractError

FACTORY = "from flask import Flask\n\n\ndef create_app({arguments}):\n    return Flask(__name__{more})\n"
PACKAGED = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "Shop.Front"\n'


def repository(tmp_path: Path, files: dict[str, str]) -> Path:
    """Write an application's files."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def found(tmp_path: Path, files: dict[str, str], key: str) -> object:
    """Answer what is found for a key."""
    return inspect.look(repository(tmp_path, files)).value(key)


@pytest.mark.parametrize(
    ("files", "app"),
    [
        ({"app.py": "from flask import Flask\napp = Flask(__name__)\n"}, "app:app"),
        ({"shop/__init__.py": FACTORY.format(arguments="config=None", more="")}, "shop:create_app()"),
        ({"src/shop/web.py": FACTORY.format(arguments="", more="")}, "shop.web:create_app()"),
        (
            {
                "shop/__init__.py": FACTORY.format(arguments="config=None", more=""),
                "shop/wsgi.py": "from shop import create_app\napplication = create_app()\n",
            },
            "shop.wsgi:application",
        ),
        ({"api.py": "import falcon\napplication = falcon.App()\n"}, "api:application"),
        (
            {"Procfile": "web: gunicorn -w 3 'shop:make()' --log-file -\n", "app.py": "app = create_app()\n"},
            "shop:make()",
        ),
        ({"tests/app.py": "from flask import Flask\napp = Flask(__name__)\n"}, None),
    ],
)
def test_what_is_served(tmp_path: Path, files: dict[str, str], app: str | None) -> None:
    assert found(tmp_path, files, "app") == app


def test_what_can_not_be_found_is_said(tmp_path: Path) -> None:
    findings = inspect.look(repository(tmp_path, {"shop/web.py": FACTORY.format(arguments="config", more="")}))
    assert findings.missing[:2] == [
        'app: nothing was found that gunicorn could serve; write app = "module:object"',
        "app: shop.web:create_app() (shop/web.py:4) wants arguments",
    ]
    with pytest.raises(ContractError) as error:
        contract.parse(write.text(findings, "../shop"), "slipway.toml")
    assert any("app: expected " in problem for problem in error.value.problems)


def test_its_packaging_decides_how_it_is_built(tmp_path: Path) -> None:
    packaged = inspect.look(repository(tmp_path / "a", {"pyproject.toml": PACKAGED, "shop.py": "import requests\n"}))
    assert (packaged.value("name"), packaged.value("layout"), packaged.value("requirements")) == (
        "shop-front",
        None,
        None,
    )
    files = {"requirements.txt": "flask\n", "shop.py": "import flask\n"}
    assert found(tmp_path / "b", files, "requirements") == ["requirements.txt"]
    files = {"shop.py": "import os, yaml, PIL.Image\nfrom shop_tools import x\nimport falcon\n", "shop_tools.py": ""}
    assert found(tmp_path / "c", files, "requirements") == ["Pillow", "falcon", "PyYAML"]


def test_what_it_keeps_goes_into_the_state(tmp_path: Path) -> None:
    source = "import sqlite3\n" + FACTORY.format(arguments="", more=", instance_relative_config=True")
    findings = inspect.look(repository(tmp_path / "a", {"pyproject.toml": PACKAGED, "shop/__init__.py": source}))
    assert findings.value("links") == {"var/shop-instance": "instance"}
    assert findings.value("scale") == "one"
    assert found(tmp_path / "b", {"shop.py": source}, "links") == {"app/instance": "instance"}
    assert found(tmp_path / "c", {"shop.py": source, "requirements.txt": "psycopg2\n"}, "scale") is None


def test_variables_and_secrets(tmp_path: Path) -> None:
    source = (
        'import os\nURL = os.environ["MAIL_URL"]\nKEY = os.environ["SECRET_KEY"]\n'
        'COLOUR = os.getenv("COLOUR", "red")\n\n\ndef app(environ, start):\n    return [environ["PATH_INFO"]]\n'
    )
    findings = inspect.look(repository(tmp_path, {"shop.py": source}))
    assert findings.value("secrets") == ["SECRET_KEY"]
    assert findings.value("secrets_in_environment") is True
    assert findings.value("env.MAIL_URL") == ""
    assert "env.MAIL_URL: write its value (shop.py:2)" in findings.missing
    assert findings.optional == ["env.COLOUR: it reads this, and can do without (shop.py:4)"]
    assert not any("PATH_INFO" in line.key for line in findings.lines), "that is WSGI's"


def test_a_secret_in_the_source_is_replaced_by_a_file_that_it_reads(tmp_path: Path) -> None:
    source = (
        "from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__, instance_relative_config=True)\n"
        '    app.config.from_mapping(SECRET_KEY="dev")\n    app.config.from_pyfile("config.py")\n    return app\n'
    )
    findings = inspect.look(repository(tmp_path, {"shop.py": source}))
    assert findings.value("config_files") == {"instance/config.py": 'SECRET_KEY = "{SECRET_KEY}"\n'}


def test_how_its_database_is_made(tmp_path: Path) -> None:
    command = 'import click\n\n\n@click.command("init-db")\ndef make():\n    """Delete all."""\n'
    assert found(tmp_path / "a", {"shop.py": "app = create_app()\n" + command}, "commands.init") == [
        *("-m", "flask", "--app", "shop:app", "init-db")
    ]
    files = {
        "shop.py": "app = create_app()\n",
        "requirements.txt": "Flask-Migrate\n",
        "migrations/env.py": "from alembic import context\n",
    }
    assert found(tmp_path / "b", files, "commands.migrate") == [
        *("-m", "flask", "--app", "shop:app", "db", "upgrade", "--directory", "{release}/app/migrations")
    ]
    files["shop.py"] += "from flask_migrate import upgrade\nupgrade('migrations')\n"
    assert found(tmp_path / "c", files, "self_migrating") is True


def test_where_it_answers(tmp_path: Path) -> None:
    routes = "".join(f'@app.route("{path}")\ndef f{i}(): ...\n' for i, path in enumerate(("/", "/a/<b>", "/healthz")))
    assert found(tmp_path, {"shop.py": routes}, "health") == {"live": "/healthz", "ready": "/healthz"}


def test_what_is_written_is_a_contract_with_its_guesses_marked(tmp_path: Path) -> None:
    findings = inspect.look(repository(tmp_path, {"shop.py": "app = create_app()\n@app.get('/ping')\ndef f(): ...\n"}))
    text = write.text(findings, "../shop")
    read = contract.parse(text, "slipway.toml")
    assert (read.app, read.health.live) == ("shop:app", "/ping")
    assert "# guessed: shop.py:2" in text
    assert "# missing: smoke: " in text


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    app = repository(tmp_path / "app", {"shop.py": ""})
    (tmp_path / "slipway.toml").write_text("name = 'mine'\n")
    with pytest.raises(AdoptFailed, match="is there already"):
        adopt(app, tmp_path)
    with pytest.raises(AdoptFailed, match="expected the folder of an application"):
        adopt(tmp_path / "nothing", tmp_path)
    assert (tmp_path / "slipway.toml").read_text() == "name = 'mine'\n"
