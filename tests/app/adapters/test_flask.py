"""What is particular to this adapter. What all have in common is in test_incoming.py and in tests/contract."""

import pytest
from werkzeug.test import Client

from tests.app.adapters.conftest import Mounted


@pytest.fixture
def client(mounted: Mounted) -> Client:
    return mounted("flask")


def test_a_method_that_nobody_knows_is_refused(client: Client) -> None:
    """Falcon says 400: see docs/framework-swap.md."""
    answer = client.open("/say/a", method="FOO")
    assert (answer.status_code, answer.mimetype) == (405, "application/problem+json")
