from app.auth.models import SecondFactorNeeded
from app.errors import NotAuthenticated


def test_a_missing_code_is_no_log_in_and_brings_a_ticket() -> None:
    refused = SecondFactorNeeded("ticket")
    assert isinstance(refused, NotAuthenticated)
    assert refused.ticket == "ticket"
    assert "ticket" not in str(refused), "messages are logged"
