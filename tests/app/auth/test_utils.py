from hypothesis import given
from hypothesis import strategies as st

from app.auth.utils import PREFIX, digest_of, new_token


def test_tokens_are_long_different_and_recognisable() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith(PREFIX) and len(token) >= 43 + len(PREFIX) for token in tokens)


@given(st.text(), st.text())
def test_a_digest_depends_on_token_and_key_and_tells_neither(token: str, key: str) -> None:
    digest = digest_of(token, key)
    assert len(digest) == 64
    assert digest == digest_of(token, key)
    assert digest != digest_of(token + "x", key)
    assert digest != digest_of(token, key + "x")
