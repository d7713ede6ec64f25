"""`fab secrets`, `fab pillar` and `fab highstate` as far as no server is needed: what they show and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import secrets_file
from tests.support.environments import SERVERS
from tests.support.remote import checkout

FAB = Path(sys.prefix) / "bin" / "fab"
SSH = '[ssh]\nidentity = "key"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout with the environment `prod` of servers, whose secrets are made."""
    folder = tmp_path_factory.mktemp("site")
    checkout(folder)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    text = SERVERS.replace('signatures = "required"', 'signatures = "optional"')
    (folder / "deploy/environments/prod.toml").write_text(text + SSH)
    said = fab(folder, "secrets:prod").stdout
    assert said.count("missing") >= 6
    assert "6 missing -> " in said
    fab(folder, "secrets:prod", "--generate")
    return folder


def fab(folder: Path, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `fab` there."""
    done = subprocess.run([FAB, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == expect, (words, done.stdout, done.stderr)
    return done


def values(site: Path) -> dict[str, str]:
    """Read the secrets."""
    return secrets_file.read(site / ".env.prod")


def hidden(site: Path, shown: str) -> bool:
    """Say whether a text has no secret, and no line of one, in it."""
    return not [line for value in values(site).values() for line in value.splitlines() if line in shown]


def test_secrets_are_shown_by_name_place_and_purpose(site: Path) -> None:
    shown = fab(site, "secrets:prod").stdout
    for name in values(site):
        assert any(line.startswith(name) and ".env.prod" in line for line in shown.splitlines())
    assert "places.example, 10.0.0.11; until 20" in shown
    rows = json.loads(fab(site, "secrets:prod", "--json").stdout)["secrets"]
    assert {row["name"]: row["source"] for row in rows} == dict.fromkeys(values(site), ".env.prod")
    assert hidden(site, shown + json.dumps(rows))


def test_a_rotated_secret_says_how_it_comes_into_use(site: Path) -> None:
    before = values(site)
    said = fab(site, "secrets:prod", "--rotate", "SECRET_KEY").stdout
    assert {name for name, value in values(site).items() if before[name] != value} == {"SECRET_KEY"}
    assert "highstate:prod, then " in said
    assert hidden(site, said)
    assert "NONE: not needed here" in fab(site, "secrets:prod", "--rotate", "NONE", expect=2).stderr


def test_a_file_that_others_can_read_is_refused(site: Path) -> None:
    file = site / ".env.prod"
    file.chmod(0o644)
    try:
        for task in ("secrets:prod", "highstate:prod", "pillar:prod"):
            assert "chmod 600 .env.prod" in fab(site, task, expect=2).stderr
    finally:
        file.chmod(0o600)


def test_pillars_are_shown_with_stars_and_written_for_a_master(site: Path) -> None:
    shown = fab(site, "pillar:prod").stdout
    assert set(json.loads(shown)) == {"lb1", "web1", "web2", "db1"}
    assert hidden(site, shown)
    assert set(json.loads(fab(site, "pillar:prod", "--limit", "web2").stdout)) == {"web2"}
    for _ in range(2):  # the second time replaces what the first has written
        said = fab(site, "pillar:prod", "--write", "var/master").stdout
    assert f"pillar_roots: {{base: [{site}/var/master/pillar]}}" in said
    written = site / "var/master"
    assert json.loads((written / "pillar/db1.sls").read_text().partition("\n")[2])["slipway"]["host"] == "db1"
    assert (written / "states/top.sls").is_file()
    assert {path.stat().st_mode & 0o077 for path in [written, *written.rglob("*")]} == {0}
    assert not list(written.parent.glob(".master*"))
    (site / "var/other").mkdir()
    (site / "var/other/mine").write_text("")
    assert "has other things in it" in fab(site, "pillar:prod", "--write", "var/other", expect=2).stderr


def test_what_is_missing_or_wrong_is_said_before_any_server_is_reached(site: Path) -> None:
    file = site / ".env.prod"
    before = file.read_text()
    secrets_file.write(file, {"TLS_CERTIFICATE": "nonsense"})
    file.write_text(file.read_text().replace("STATS_PASSWORD", "OTHER"))
    try:
        said = fab(site, "highstate:prod", expect=2).stderr
    finally:
        file.write_text(before)
    assert "STATS_PASSWORD: this secret does not exist yet" in said
    assert "TLS_CERTIFICATE (.env.prod): expected a certificate in PEM" in said
    assert "did you mean 'web1'?" in fab(site, "highstate:prod", "--limit", "wbe1", expect=2).stderr


def test_a_load_balancer_needs_a_certificate_for_its_names(site: Path) -> None:
    toml = site / "deploy/environments/prod.toml"
    before = toml.read_text()
    toml.write_text(before.replace('names = ["places.example"]', 'names = ["places.example", "new.example"]'))
    try:
        assert "NOT for new.example" in fab(site, "secrets:prod").stdout
    finally:
        toml.write_text(before)
