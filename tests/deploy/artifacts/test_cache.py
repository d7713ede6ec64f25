"""A cache entry is there whole or not at all, and goes when nobody has used it for a month."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from deploy.artifacts import cache as caches
from deploy.artifacts.cache import Cache, CacheError


def test_an_entry_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with contextlib.suppress(RuntimeError), cache.adding("kind", "one") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert cache.entry("kind", "one") is None
    with cache.adding("kind", "one") as folder:
        (folder / "whole").touch()
    assert cache.entry("kind", "one") == tmp_path / "cache/kind/one"
    assert list((tmp_path / "cache/tmp").iterdir()) == []


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.adding("kind", "one") as slow, cache.adding("kind", "one") as fast:
        (slow / "slow").touch()
        (fast / "fast").touch()
    assert [path.name for path in (tmp_path / "kind/one").iterdir()] == ["fast"]


def test_unused_entries_go_after_a_month_and_used_ones_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for key in ("old", "used"):
        with cache.adding("kind", key):
            pass
    long_ago = time.time() - 40 * 24 * 3600
    for key in ("old", "used"):
        os.utime(tmp_path / "kind" / key, (long_ago, long_ago))
    cache.entry("kind", "used")
    cache.sweep()
    assert cache.keys("kind") == {"used"}


def test_it_looks_once_a_day(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.sweep()
    with cache.adding("kind", "old"):
        pass
    os.utime(tmp_path / "kind/old", (0, 0))
    cache.sweep()
    assert cache.keys("kind") == {"old"}
    cache.sweep(now=time.time() + 25 * 3600)
    assert cache.keys("kind") == set()


def test_it_lies_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caches.of_user().root == tmp_path / "xdg/slipway"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert caches.of_user().root == tmp_path / "home/.cache/slipway"


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CacheError, match="can't be written: Not a directory"),
        Cache(tmp_path / "file").adding("a", "b"),
    ):
        pass
