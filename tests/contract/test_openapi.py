"""The API keeps to what it says of itself, whatever it is asked: schemathesis makes up the questions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Server

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "3")
"""Questions of each kind for each endpoint; more find more, and take longer."""

SEED = os.environ.get("FUZZ_SEED", "1")
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


@pytest.fixture(params=[("flask", "postgresql"), ("falcon", "sqlite")], ids="-".join, scope="session")
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each framework once: the questions are about the API."""
    framework, database = request.param
    return framework, database


def test_the_document_and_its_page_are_there(get) -> None:
    document, page = get("/api/v1/openapi.json"), get("/api/v1/docs")
    assert document.json["openapi"] == "3.1.0"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert get("/api/v1/docs.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert get("/api/v1/openapi.json", **{"If-None-Match": document.headers["ETag"]}).status == 304


@pytest.mark.timeout(3600 if "FUZZ_EXAMPLES" in os.environ else 600)
def test_whatever_is_asked_is_answered_as_documented(server: Server, token: str, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "schemathesis"
    options = [
        f"--checks={','.join(CHECKS)}",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--mode=all",
        "--no-color",
    ]
    options += ["--generation-database=none", f"--header=Authorization: Bearer {token}"]
    if "FUZZ_EXAMPLES" not in os.environ:
        options.append("--phases=coverage,fuzzing")
    document = f"http://127.0.0.1:{server.port}/api/v1/openapi.json"
    done = subprocess.run(
        [program, "run", document, *options], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " 5" not in "".join(str(line["message"])[-4:] for line in server.lines() if "access_log" in line["logger"])
