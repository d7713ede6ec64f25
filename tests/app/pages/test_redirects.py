import pytest

from app.pages.redirects import is_ours, safe


@pytest.mark.parametrize("target", ["/", "/places?q=a%20b&x=1", "/lists/3#content", "/nearest?next=//evil.example"])
def test_paths_are_ours(target: str) -> None:
    assert is_ours(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "places",
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "/places evil",
        "javascript:alert(1)",
        "///evil.example",
        "//[",
    ],
)
def test_everything_else_is_not(target: str) -> None:
    assert not is_ours(target)
    assert safe(target, "/home") == "/home"


def test_nothing_asked_for() -> None:
    assert safe(None, "/home") == "/home"
    assert safe("/there", "/home") == "/there"
