"""Two who would migrate one database at once: the second waits, or leaves and says for whom; each step is done once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.local.conftest import Site, own_site
from tests.support import releases

# It waits as long as the test wants, but not on the scratch copy, and could not be done twice.
HELD = '''"""One table more."""

import os
import time
from pathlib import Path

revision = "0002"
down_revision = "0001"
kind = "expand"
reviewed = {"sql": "nobody knows the table yet"}


def upgrade(database):
    place = Path(os.environ["DATABASE_URL"].removeprefix("sqlite:///")).parent
    if not database.execute("PRAGMA database_list").fetchone()[2].endswith("_rehearsal"):
        (place / "begun").touch()
        while (place / "hold").exists():
            time.sleep(0.02)
    database.execute("CREATE TABLE once (x INTEGER)")
'''


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with own_site(tmp_path_factory.mktemp("site"), releases.kiosk("before", {"kiosk/before.py": ""})) as made:
        yield made


def test_of_two_who_migrate_at_once_one_waits_or_leaves_with_3(site: Site) -> None:
    release = releases.kiosk("held", {"kiosk/migrations/m0002_held.py": HELD})
    hold, begun = site.directory / "db" / "hold", site.directory / "db" / "begun"
    hold.touch()
    with site.edited("keep = 5", "keep = 5\nlease = 600"):
        first = site.start("deploy:local", "--version", release.version)
        while not begun.exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.05)
        for words in (["migrate:local"], ["deploy:local", "--version", release.version]):
            refused = site.fab(*words, expect=3)
            assert f"(process {first.pid}" in refused.err
        waiting = site.start("deploy:local", "--version", release.version, "--wait", "150")
        assert waiting.stdout
        assert f"(process {first.pid}" in waiting.stdout.readline()  # for whom it waits
        hold.unlink()
        out, err = first.communicate(timeout=150)
        assert first.returncode == 0, out + err
        out, err = waiting.communicate(timeout=150)
    assert waiting.returncode in (0, 10), out + err
    assert site.versions() == {release.version}
