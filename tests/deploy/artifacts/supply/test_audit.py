"""Vulnerabilities of what is locked are found by pip-audit itself, in a database here; no database is no finding."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.artifacts.supply import audit
from deploy.artifacts.supply.__main__ import main
from deploy.artifacts.supply.audit import AuditError, Vulnerable
from deploy.artifacts.wheels.lock import LockError
from tests.support.sample import Sample

# As the database at osv.dev answers.
CRACK = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-0001"],
    "summary": "A pebble cracks\nwhen it falls",
    "modified": "2026-01-02T00:00:00Z",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "pebble", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.3"}]}],
        }
    ],
}


class Database(ThreadingHTTPServer):
    """Knows one vulnerability, of pebble 1.2; notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = (query["package"]["name"], query["version"])
        assert isinstance(self.server, Database)
        self.server.asked.append(package)
        answer = json.dumps({"vulns": [CRACK]} if package == ("pebble", "1.2") else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    with Database() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(audit.VARIABLE, server.url)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def shop(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Sample:
    """The sample, with a lock of tools beside its own."""
    hashed = f"    --hash=sha256:{'0' * 64}\n"
    tools = ["pebble==1.4 \\", "chisel==2.0 ; python_version >= '3' \\", "winch==1 ; sys_platform == 'win32' \\"]
    sample.write("locks/tools.txt", "".join(f"{line}\n{hashed}" for line in tools))
    monkeypatch.chdir(sample.root)
    return sample


def test_a_vulnerability_is_named_with_the_line_of_the_lock_and_the_way_out(
    shop: Sample, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("slipway: 1 vulnerability known to http://127.0.0.1:")
    assert (
        "locks/shop.txt:2: pebble 1.2: PYSEC-2026-1 CVE-2026-0001: fixed in 1.3: A pebble cracks when it falls" in said
    )
    assert "make lock UPGRADE=1" in said
    # Every version that is locked for this platform, and no other.
    assert sorted(database.asked) == [("chisel", "2.0"), ("pebble", "1.2"), ("pebble", "1.4")]


@pytest.mark.usefixtures("shop", "database")
def test_one_that_does_no_harm_can_be_passed_over_by_any_of_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--ignore", "X-1,CVE-2026-0001"]) == 0
    assert capsys.readouterr().out.startswith("audited: 3 packages, none with a vulnerability")


@pytest.mark.usefixtures("shop")
def test_without_a_database_it_says_so_and_finds_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(audit.VARIABLE, "http://127.0.0.1:1/v1/query")  # nobody listens there
    assert main(["audit"]) == 0
    said = capsys.readouterr().out.strip()
    why = "http://127.0.0.1:1/v1/query: connection refused"
    assert said == f"not audited: no database of vulnerabilities can be reached ({why})"
    monkeypatch.setattr(audit, "_ask", lambda *_: (None, "connection refused"))
    assert main(["audit", "--strict", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == said


def test_what_a_database_does_not_have_is_no_clean_bill(shop: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index answers so for packages of one's own, and for every package when it has no such data."""
    skipped = {"name": "Pebble", "skip_reason": "not found"}
    answers = {"osv": None, "pypi": [skipped, {"name": "chisel", "version": "2.0", "vulns": []}]}
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    monkeypatch.setattr(audit, "_ask", lambda source, *_: (answers[source], "down"))
    found = audit.audit(shop.root, audit.locks_of(shop.root, "locks/shop.txt"))
    assert (found.source, found.obstacles) == ("the package index", ("OSV: down",))
    assert "  not audited: pebble 1.2: the package index does not have it" in found.lines()
    answers["pypi"] = [skipped]
    assert audit.audit(shop.root, audit.locks_of(shop.root, "locks/shop.txt")).source is None


def test_a_lock_that_is_not_one_is_named(shop: Sample) -> None:
    with pytest.raises(AuditError, match=r"locks/no\.txt: expected a lock file"):
        audit.audit(shop.root, audit.locks_of(shop.root, "locks/no.txt"))
    shop.write("locks/tools.txt", "pebble>=1\n")
    with pytest.raises(LockError, match=r"locks/tools\.txt:1: pebble: expected an exact version"):
        audit.audit(shop.root, audit.locks_of(shop.root, "locks/shop.txt"))


def test_the_order_of_findings_is_that_of_packages(shop: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    vulns = [{"id": "A-1", "aliases": [], "fix_versions": [], "description": None}]
    answer = [{"name": name, "version": "2.0", "vulns": vulns} for name in ("chisel", "winch")]
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    monkeypatch.setattr(audit, "_ask", lambda *_: (answer, ""))
    with pytest.raises(Vulnerable, match="2 vulnerabilities known to OSV") as caught:
        audit.audit(shop.root, [Path(shop.root, "locks/tools.txt")])
    assert caught.value.problems[0] == "locks/tools.txt:3: chisel 2.0: A-1: not fixed yet"
