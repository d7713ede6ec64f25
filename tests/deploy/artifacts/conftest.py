"""The sample application, a cache of its own, and pip that knows one local folder."""

from pathlib import Path

import pytest

from deploy.artifacts.cache import Cache
from deploy.artifacts.interpreter import Interpreter, find
from tests.support import sample as samples
from tests.support.sample import Sample


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    made = samples.make(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.wheels))
    return made


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache that gets warm: a test that needs a cold one makes its own."""
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def python() -> Interpreter:
    return find("/usr/bin/python3.11", "3.11")
