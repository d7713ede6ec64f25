import pytest

from app.web.messages import json_bytes


def test_json_is_utf8_in_the_order_given_on_one_line() -> None:
    assert json_bytes({"b": "Łódź", "a": [1, None]}) == '{"b":"Łódź","a":[1,null]}\n'.encode()


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(ValueError):
        json_bytes({"x": float("nan")})
