from datetime import UTC, datetime, timedelta

import pytest

from app.auth.codes import matching_step, new_recovery_codes, new_secret, plain, provisioning_uri

# RFC 6238, appendix B: the secret in base32, and the last six digits of its codes.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS = {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037"}


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert matching_step(SECRET, code, datetime.fromtimestamp(seconds, UTC)) == seconds // 30


def test_a_code_may_be_half_a_minute_off_and_no_more() -> None:
    now = datetime.fromtimestamp(1234567890, UTC)  # where its half minute begins
    found = {off: matching_step(SECRET, "005924", now + timedelta(seconds=off)) for off in (-31, -30, 59, 60)}
    step = 1234567890 // 30
    assert found == {-31: None, -30: step, 59: step, 60: None}


@pytest.mark.parametrize("code", ["", "5924", "0059240", "00592x", "\uff10\uff10\uff15\uff19\uff12\uff14", "\udcff"])
def test_what_is_no_code_matches_nothing(code: str) -> None:
    assert matching_step(SECRET, code, datetime.fromtimestamp(1234567890, UTC)) is None


def test_an_authenticator_can_read_it() -> None:
    uri = provisioning_uri(SECRET, "me@example.org", "gazetteer")
    assert uri.startswith("otpauth://totp/gazetteer:me%40example.org?")
    assert f"secret={SECRET}" in uri
    assert len({new_secret() for _ in range(20)}) == 20
    assert len(new_secret()) == 32


def test_recovery_codes_are_different_and_easily_typed() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(len(code) == 11 and code[5] == "-" for code in codes)
    assert {plain(f" {code.upper().replace('-', ' ')} ") for code in codes} == {plain(code) for code in codes}
