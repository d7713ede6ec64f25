"""What several suites share: a database with all places, loaded once and kept between runs."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

import app
from app.clock import SystemClock
from app.database.engine import make_engine
from app.database.migrate import upgrade
from app.geolocation import dataset, seeding

# Where the shell forbids Python to keep bytecode, each program that a test starts would compile its libraries anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def seeded_database(request: pytest.FixtureRequest) -> Path:
    """A migrated database with the full dataset. Copy it before writing to it.

    It is named after the code that makes it, so a change there makes a new one.
    """
    sources = Path(app.__file__).parent
    code = b"".join(
        path.read_bytes()
        for folder in ("geolocation", "migrations")
        for path in sorted(sources.glob(f"{folder}/**/*.py"))
    )
    name = hashlib.sha256(code + dataset.fingerprint().encode()).hexdigest()[:16]
    kept = request.config.cache.mkdir("gazetteer") / f"{name}.sqlite3"
    if not kept.exists():
        for old in kept.parent.glob("*.sqlite3"):
            old.unlink(missing_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}")
        upgrade(f"sqlite:///{aside}")
        engine = make_engine(f"sqlite:///{aside}")
        seeding.seed(engine, dataset.fingerprint(), dataset.read, SystemClock().now())
        engine.dispose()
        aside.rename(kept)
    return kept
