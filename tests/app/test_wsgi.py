import subprocess
import sys


def load(environ: dict[str, str], code: str = "import app.wsgi") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)


def test_the_application_is_built_from_the_environment(environ: dict[str, str]) -> None:
    code = (
        "import app.wsgi; from werkzeug.test import Client;"
        "print(Client(app.wsgi.application).get('/version').json['environment'])"
    )
    done = load({**environ, "ENVIRONMENT": "somewhere"}, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "somewhere"


def test_an_invalid_environment_is_told_in_full_without_a_traceback() -> None:
    done = load({"SECRET_KEY": "hunter2hunter2", "LOG_LEVEL": "LOUD", "DATABASE_URL": ""})
    assert done.returncode == 4, "gunicorn gives up on this code instead of starting workers for ever"
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    for name in ("SECRET_KEY", "LOG_LEVEL", "DATABASE_URL"):
        assert f"  {name}: expected " in done.stderr
    assert done.stdout == ""
