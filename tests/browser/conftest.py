"""One gunicorn with all places, one mail server and one Chromium, which all of these tests share."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support import chromium, mailbox
from tests.support.chromium import Person
from tests.support.mailbox import Mailbox

ROOT = Path(__file__).parents[2]
SECRET_KEY = "kU4vPq8ZxT2mLw9RbN6yHc3JdF7gSa5E"
DEADLINE = 30.0


@pytest.fixture(scope="session")
def mail() -> Iterator[Mailbox]:
    with mailbox.receiving() as found:
        yield found


@pytest.fixture(scope="session")
def environ(mail: Mailbox, seeded_database: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of a site that sends mail."""
    database = tmp_path_factory.mktemp("browser") / "gazetteer.sqlite3"
    shutil.copy(seeded_database, database)
    return {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": f"sqlite:///{database}",
        "SECURE_COOKIES": "no",  # http://127.0.0.1
        "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "MAIL_FROM": "places@example.org",
    }


@pytest.fixture(scope="session")
def site(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the site, and give its address."""
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    number = listener.fileno()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{number}", "--no-control-socket", "--threads", "4"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--worker-class", "gthread", "app.wsgi:application"],
            cwd=ROOT,
            env={**environ, "PUBLIC_URL": address},
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[number],
        )
    try:
        wait_for(listener.getsockname()[1], process, log)
        yield address
    finally:
        process.terminate()
        process.wait(DEADLINE)
        listener.close()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + DEADLINE
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as asked:
            asked.request("GET", "/livez")
            if asked.getresponse().status == 200:
                return
        time.sleep(0.05)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium.started(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def person(driver: webdriver.Chrome, site: str) -> Person:
    """Somebody who has never been here, at a browser that asks for English."""
    driver.get(f"{site}/livez")
    driver.delete_all_cookies()
    person = Person(driver, site)
    person.speaks("en")
    person.prefers("light")
    person.console()
    return person
