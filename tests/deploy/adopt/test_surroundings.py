"""What is proposed of the world around an application, each marked as guessed, and valid as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import contract
from deploy.adopt import surroundings, write

APP = "from flask import Flask\napp = Flask(__name__)\n"
DOCKERFILE = """\
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends gcc libpq-dev \\
    libmagic1 ffmpeg && rm -rf /var/lib/apt/lists/*
CMD gunicorn --workers 3 --timeout 120 app:app
"""
URL = 'import os\nurl = os.environ["DATABASE_URL"]\n'


def found(tmp_path: Path, files: dict[str, str]) -> dict[str, object]:
    """Answer what is proposed; what is written can be read, but for the smoke test that a person adds."""
    for name, text in {"app.py": APP, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    findings = surroundings.all_of(tmp_path)
    contract.parse(write.text(findings, "../shop"), "slipway.toml")
    return {line.key: line.value for line in findings.lines} | {
        "missing": findings.missing, "optional": findings.optional,
        "guessed": {line.key for line in findings.lines if line.guessed},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "key", "value"),
    [
        ({"Dockerfile": DOCKERFILE}, "system_packages", {"debian": ["ffmpeg", "libmagic1"]}),
        ({"Dockerfile": DOCKERFILE}, "proxy.timeout", 120),
        ({"requirements.txt": "flask\npsycopg2==2.9\n"}, "system_packages", {"debian": ["libpq5"]}),
        ({"static/style.css": ""}, "static", {"/static/": 3600}),
        ({"sockets.py": "import flask_socketio\n"}, "sticky", "cookie"),
        (
            {"requirements.txt": "flask-sqlalchemy\npsycopg[binary]\n", "settings.py": URL},
            "database",
            {"variable": "DATABASE_URL", "driver": "postgresql+psycopg"},
        ),
        (
            {"requirements.txt": "asyncpg\n", "s.py": 'import os\nu = os.environ.get("DB_URL", "sqlite:///x")\n'},
            "database",
            {"variable": "DB_URL", "driver": "postgresql", "sqlite": True},
        ),
        ({"manage.py": "import django\n"}, "commands.migrate_check", ["{release}/app/manage.py", "migrate", "--check"]),
        ({"Procfile": "release: flask db upgrade\n"}, "commands.migrate", ["-m", "flask", "db", "upgrade"]),
    ],
)
def test_what_a_file_says_is_proposed_and_marked(
    tmp_path: Path, files: dict[str, str], key: str, value: object
) -> None:
    proposed = found(tmp_path, files)
    assert proposed[key] == value
    assert key in str(proposed["guessed"])


def test_nothing_is_proposed_of_which_nothing_is_said(tmp_path: Path) -> None:
    files = {"requirements.txt": "flask\npsycopg2-binary\n", "Procfile": "web: gunicorn --timeout 30 app:app\n"}
    proposed = found(tmp_path, files)
    keys = {"system_packages", "static", "sticky", "proxy.timeout", "database", "commands.migrate_check"}
    assert not keys & {*proposed}
    assert any('driver = "postgresql"' in text for text in proposed["optional"])  # type: ignore[attr-defined]


def test_processes_beside_the_web_server_are_named_and_what_they_lack(tmp_path: Path) -> None:
    text = "web: gunicorn app:app\nworker: celery -A shop worker\nbeat: celery -A shop beat\n"
    missing = str(found(tmp_path, {"Procfile": text})["missing"])
    assert 'processes.worker: Procfile runs `celery -A shop worker`; command = ["-m", "celery", "-A"' in missing
    assert "processes.scheduler: Procfile runs `celery -A shop beat`" in missing


def test_a_database_that_is_given_is_not_asked_for(tmp_path: Path) -> None:
    proposed = found(tmp_path, {"requirements.txt": "psycopg\n", "settings.py": URL})
    assert "env.DATABASE_URL" not in proposed
    assert "DATABASE_URL" not in str(proposed["missing"])
