import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.users.utils import checked_password, joined_name, normalise_email, split_name


@pytest.mark.parametrize(
    ("text", "email"),
    [("Me@Example.ORG ", "me@example.org"), ("a+b@x.co", "a+b@x.co"), ("jörg@müller.example", "jörg@müller.example")],
)
def test_addresses_are_compared_without_case(text: str, email: str) -> None:
    assert normalise_email(text) == email


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me",
        "me@",
        "@x.org",
        "me@localhost",
        "a b@x.org",
        "a@b@x.org",
        "a@x..org",
        "a\n@x.org",
        "x" * 250 + "@x.org",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        normalise_email(text)


@given(st.emails())
def test_addresses_of_the_standard_are_normal_after_once(email: str) -> None:
    once = normalise_email(email) if len(email.split("@")[0]) <= 64 else "a@b.cd"
    assert normalise_email(once) == once


@pytest.mark.parametrize(("length", "good"), [(11, False), (12, True), (128, True), (129, False)])
def test_passwords_have_a_length(length: int, good: bool) -> None:
    password = SecretStr("x" * length)
    if good:
        assert checked_password(password) is password
    else:
        with pytest.raises(ValueError, match="12 to 128"):
            checked_password(password)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Ada Byron King", ("Ada Byron", "King")),
        ("Ada  King", ("Ada ", "King")),
        ("Teller", ("Teller", "")),
        ("Ada ", ("Ada ", "")),
        (" Ada", ("", "Ada")),
    ],
)
def test_a_name_in_two_parts_is_the_same_name(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts
    assert joined_name(*parts) == name
