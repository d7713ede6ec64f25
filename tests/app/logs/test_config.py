import json
import subprocess
import sys

from app.logs.config import logging_config
from app.settings import Settings

CODE = """
import logging, os, warnings
gunicorn = logging.getLogger("gunicorn.error")
gunicorn.addHandler(logging.StreamHandler())  # as gunicorn does before it loads an application
gunicorn.propagate = False
gunicorn.setLevel(logging.INFO)
from app.logs import configure_logging
from app.settings import Settings
configure_logging(Settings.from_environ(os.environ))
gunicorn.info("Listening")
logging.getLogger("app.x").info("ours")
logging.getLogger("app.x").debug("too quiet")
logging.getLogger("alembic.runtime.migration").info("noise")
warnings.warn("careful")
"""


def run(environ: dict[str, str]) -> list[str]:
    done = subprocess.run([sys.executable, "-c", CODE], env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == "", "gunicorn's own handler is gone"
    return done.stdout.splitlines()


def test_every_line_of_the_process_is_json_on_standard_output(environ: dict[str, str]) -> None:
    lines = list(map(json.loads, run({**environ, "RELEASE_VERSION": "1.4", "RELEASE_GENERATION": "17"})))
    assert [line["logger"] for line in lines] == ["gunicorn.error", "app.x", "py.warnings"]
    assert {(line["release"], line["generation"]) for line in lines} == {("1.4", "17")}


def test_a_terminal_gets_readable_lines(environ: dict[str, str]) -> None:
    lines = run({**environ, "LOG_FORMAT": "console"})
    assert lines[1].endswith("ours")
    assert "{" not in lines[1]


def test_the_level_is_that_of_the_settings(settings: Settings) -> None:
    quiet = settings.model_copy(update={"log_level": "ERROR"})
    assert logging_config(quiet, "ext://sys.stdout")["root"]["level"] == "ERROR"
