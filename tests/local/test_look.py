"""Falcon's example application, as published: two modules without any packaging, that write uploads to a folder."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

from tests.local.adopting import Adopted, adopted
from tests.support import sdists

SOURCE = "'/images/1eaf6ef1-7f2d-4ecc-a8d5-6e8adba7cc0e.png'"


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    """Adopt it, and set `local` up."""
    with adopted(tmp_path_factory.mktemp("look"), sdists.LOOK, "look") as site:
        site.release()
        site.fab("bootstrap:local")
        yield site


def upload(site: Adopted) -> str:
    """Store a picture through the balancer; give its name."""
    request = urllib.request.Request(f"{site.url}/images", b"a picture", {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201
        return str(answer.headers["Location"]).rpartition("/")[2]


def test_it_ships_as_it_is_and_keeps_what_it_is_given(look: Adopted) -> None:
    look.fab("deploy:local", "--json")
    release = (look.directory / "web1/current/release").resolve()
    assert sorted(path.name for path in (release / "app").iterdir()) == ["look", "tests"]
    assert (release / "app/look/__pycache__").is_dir(), "its modules are compiled: no process may write there"
    balancer = (look.directory / "lb/haproxy.cfg").read_text()
    assert "timeout check 2s" in balancer, "its check is a page of its own, and may take its time"
    names = {upload(look) for _ in range(4)}
    assert {path.name for path in (look.directory / "shared/images").iterdir()} == names


def test_a_second_version_and_back_lose_no_request(look: Adopted) -> None:
    sdists.next_version(look.app, "look/images.py", SOURCE, "'/images/second-edition.png'")
    made = look.release()
    assert "0.0+g" in made["version"]
    with look.traffic() as during:
        refused = look.fab("deploy:local", "--json", expect=20)
        assert "/images is not as [tool.slipway] smoke wants it" in refused.last["message"], "the page lacks a text"
        contract = look.path / "slipway.toml"
        contract.write_text(contract.read_text().replace('text = "/images/1eaf6ef1"', 'text = "/images/"'))
        look.release()
        look.fab("deploy:local", "--json")
        with urllib.request.urlopen(f"{look.url}/images", timeout=10) as answer:
            assert b"second-edition" in answer.read()
        look.fab("rollback:local", "--json")
    assert (during[0].failed, during[0].requests > 20) == (0, True), during[0]
    with urllib.request.urlopen(f"{look.url}/images", timeout=10) as answer:
        assert b"1eaf6ef1" in answer.read()
    assert look.unchanged
