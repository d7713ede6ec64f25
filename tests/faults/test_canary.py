"""Known secrets are planted wherever one can come from; a day's work later they are where they belong, and only there.

On servers, tests/faults/test_servers.py looks.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.faults.watch import Watch
from tests.local.conftest import Site, make_site
from tests.local.test_bad_releases import FAILS_AT_IMPORT
from tests.support import releases

CANARIES = {name: f"canary-{name.lower()}-{os.urandom(12).hex()}" for name in ("KEPT", "GIVEN", "ASKED", "SECRET_KEY")}
MARKS = [
    mark for value in CANARIES.values() for mark in (value.encode(), base64.b64encode(value.encode()).rstrip(b"="))
]
BELONG = ("var/local/secrets/*", "var/local/*/generations/*/credentials/*", "vault")


def found_in(data: bytes) -> bool:
    """Tell whether a canary is in it, as it is or in base64."""
    return any(mark in data for mark in MARKS)


def plant(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a secret into each place: the environment's folder, a variable of the operator's, what a command says."""
    monkeypatch.setenv("SLIPWAY_LOCAL_GIVEN", CANARIES["GIVEN"])
    (site.path / "vault").write_text(CANARIES["ASKED"])
    command = f'secrets_command = "cat {site.path}/vault"\n'
    site.edit('secrets = ["SECRET_KEY"]', f'{command}secrets = ["SECRET_KEY", "KEPT", "GIVEN", "ASKED"]')
    for name in ("TMPDIR", "HOME"):
        folder = site.path / "elsewhere" / name
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    site.fab("bootstrap:local")
    kept = site.directory / "secrets"
    kept.mkdir(mode=0o700, exist_ok=True)
    for name in ("KEPT", "SECRET_KEY"):
        (kept / name).write_text(CANARIES[name])
        (kept / name).chmod(0o600)


def test_secrets_are_nowhere_but_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = releases.kiosk("newer", {"kiosk/about.py": '"""One line more."""\n'})
    base = releases.kiosk()
    bad = releases.kiosk("canary", {"kiosk/wsgi.py": FAILS_AT_IMPORT})
    site = make_site(tmp_path)
    plant(site, monkeypatch)
    try:
        with Watch(MARKS, lambda process: (process / "cwd").readlink().is_relative_to(site.directory)) as watch:
            said = [
                site.fab(*words.split(), expect=code)
                for words, code in (
                    ("bootstrap:local", 0),
                    (f"plan:local --version {base.version} --json --out plan", 0),
                    (f"deploy:local --version {base.version} --plan plan --json", 0),
                    (f"deploy:local --version {newer.version}", 0),
                    (f"deploy:local --version {bad.version} --json", 20),
                    ("status:local --json", 0),
                    ("rollback:local --json", 0),
                    ("logs:local --json", None),
                    ("history:local --json", 0),
                    ("doctor:local --json", None),
                )
            ]
        assert watch.looks > 5
        assert watch.seen == set()
        assert [each.out for each in said if found_in((each.out + each.err).encode())] == []
        hits = {str(path.relative_to(site.path)) for path in files(site.path) if found_in(path.read_bytes())}
        assert {place for place in hits if not any(fnmatch(place, each) for each in BELONG)} == set()
        credentials = [place for place in hits if "/credentials/" in place]
        assert {place.rpartition("/")[2] for place in credentials} == set(CANARIES), "all of them have arrived"
        assert {(site.path / place).stat().st_mode & 0o077 for place in credentials} == {0}
        built = [path for tree in (base, newer, bad) for path in files(tree.path) if found_in(path.read_bytes())]
        assert built == []
    finally:
        site.destroy()


def files(folder: Path) -> Iterator[Path]:
    """List the files below a folder; links lead to others."""
    for where, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(where, name)).is_file() and not path.is_symlink())
