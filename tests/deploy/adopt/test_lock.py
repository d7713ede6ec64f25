"""What an adopted application requires is locked with hashes, and what can't have one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.adopt import lock
from deploy.adopt.lock import LockFailed
from deploy.artifacts.files import digest
from tests.support.sample import make_wheel

CONTRACT = 'name = "shop"\nsource = "app"\npython = "3.11"\napp = "shop:app"\nlayout = "tree"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with an application, and an index that has two distributions."""
    for name, version in (("gunicorn", "27.0.1"), ("pebble", "1.2")):
        page = tmp_path / "index" / name
        page.mkdir(parents=True)
        wheel = make_wheel(page, name, version, {f"{name}.py": ""})
        (page / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest(wheel)}">{wheel.name}</a>')
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"file://{tmp_path}/index")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "app").mkdir()
    return tmp_path


def write(folder: Path, requirements: str, text: str = "") -> str:
    """Lock, and give the lock."""
    (folder / "slipway.toml").write_text(f"{CONTRACT}requirements = {requirements}\n")
    (folder / "app/requirements.txt").write_text(text)
    lock.write(folder)
    return (folder / "slipway.lock").read_text()


def test_what_serves_it_is_added_unless_it_names_its_own(folder: Path) -> None:
    text = write(folder, '["requirements.txt"]', "pebble\n")
    assert [line for line in text.splitlines() if "==" in line] == ["gunicorn==27.0.1 \\", "pebble==1.2 \\"]
    assert text.count("--hash=sha256:") == 2
    assert not lock.write(folder), "the same again"
    assert "gunicorn==27.0.1" in write(folder, '["gunicorn>20"]')


def test_a_link_into_a_repository_is_refused_with_the_reason(folder: Path) -> None:
    link = "shop-tools @ git+https://example.org/tools.git@main"
    with pytest.raises(LockFailed, match=r"requirements\.txt: a link into a repository can't have a hash") as error:
        write(folder, '["requirements.txt"]', f"pebble==1.2 --hash=sha256:{'0' * 64}\n{link}\n")
    assert error.value.problems == (link,)


def test_what_can_not_be_had_is_named(folder: Path) -> None:
    with pytest.raises(LockFailed, match="what shop requires can't be locked") as error:
        write(folder, '["pebble>=2"]')
    assert any("pebble" in line for line in error.value.problems)
    with pytest.raises(LockFailed, match=r"there is no .*other\.txt"):
        write(folder, '["other.txt"]')
