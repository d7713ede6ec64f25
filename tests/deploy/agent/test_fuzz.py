"""Whatever a request says: no traceback, nothing outside the agent's directories, nothing half-done within them.

tests/faults/test_fuzz_agent.py does the same for longer.
"""

from __future__ import annotations

import collections
import json
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.deploy.agent import fuzzing, kit


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> fuzzing.World:
    return fuzzing.world(tmp_path_factory.mktemp("fuzz"))


def test_no_request_makes_a_traceback_or_leaves_its_place(there: fuzzing.World) -> None:
    codes: collections.Counter[str] = collections.Counter()

    @settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        codes[fuzzing.check(there, *data.draw(fuzzing.requests(there.home)))] += 1

    fuzz()
    assert codes["ok"], f"nothing but refusals proves little: {codes}"


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": 1, "verb": "assemble", "manifest": "\\ud800"}',
        b'{"id": 1, "verb": "logs", "lines": 1' + b"0" * 40 + b"}",
        b'{"id": 1, "verb": "logs", "since": 1e400}',
        b'{"id": 1, "verb": "lease", "action": "acquire", "owner": {"why": ' + b"[" * 300 + b"]" * 300 + b"}}",
        b'{"id": ' + b"[" * 900 + b"]" * 900 + b', "verb": "status"}',
        b'{"id": 1, "verb": "ledger", "append": [{"phase": "begin", "detail": NaN}]}',
        b'{"id": 1, "verb": "backup", "engine": "sqlite", "database": "a\\u0000b"}',
    ],
    ids=["half a character", "number", "infinity", "depth", "depth of the number", "no number", "NUL"],
)
def test_json_that_is_nothing_to_work_with_is_refused(there: fuzzing.World, line: bytes) -> None:
    assert fuzzing.check(there, line, b"") in ("bad-request", "bad-argument")


def test_what_is_behind_a_refused_request_is_never_taken_for_requests(agent: kit.Caller) -> None:
    hidden = b'{"id": 7, "verb": "status"}\n'
    refused = b'{"id": 1, "verb": "receive", "encoding": "\\ud800", "length": %d}\n' % len(hidden)
    lines = refused + hidden + b'{"id": 2, "verb": "status"}\n'
    done = subprocess.run(agent.argv("session"), input=lines, capture_output=True, timeout=30, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["id"], answer["ok"]) for answer in answers] == [(1, False), (2, True)]
