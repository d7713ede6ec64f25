"""The target decides which wheels ship, not the machine that builds."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.artifacts import build_release
from deploy.artifacts.built import ReleaseError
from deploy.artifacts.cache import Cache
from deploy.artifacts.interpreter import Interpreter
from deploy.artifacts.wheels import floor, lock, wheelhouse
from deploy.artifacts.wheels.floor import FloorError
from deploy.artifacts.wheels.wheelhouse import WheelhouseError
from tests.support.sample import Sample, lock_of, make_wheel


def native(glibc: str) -> str:
    return f"cp311-cp311-manylinux_{glibc.replace('.', '_')}_x86_64"


@pytest.fixture
def old(python: Interpreter) -> Interpreter:
    return replace(python, platform="linux-x86_64", libc="glibc-2.28")


def test_the_older_of_contract_and_machine_counts(python: Interpreter) -> None:
    here = replace(python, libc="glibc-2.36")
    assert floor.lower(here, "2.28").libc == "glibc-2.28"
    assert floor.lower(here, "2.40") == floor.lower(here, None) == here
    musl = replace(python, libc="musl-1.2")
    assert floor.lower(musl, "2.28") == musl


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        (native("2.28"), None),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", None),
        ("cp310-abi3-manylinux_2_26_x86_64.manylinux_2_28_x86_64", None),
        ("py3-none-any", None),
        (native("2.34"), "needs glibc 2.34, the target has 2.28"),
        ("cp312-cp312-manylinux_2_17_x86_64", "is for cp312 and manylinux_2_17_x86_64"),
        ("cp311-cp311-musllinux_1_2_x86_64", "is for cp311 and musllinux_1_2_x86_64"),
        ("cp311-cp311-manylinux_2_17_aarch64", "is for manylinux_2_17_aarch64"),
    ],
)
def test_tells_what_a_wheel_needs(old: Interpreter, tag: str, why: str | None) -> None:
    name = f"sand-1.0-{tag}.whl"
    if why is None:
        floor.check([name], old)
        return
    with pytest.raises(FloorError, match=r"the target has Python 3\.11, linux-x86_64, glibc 2\.28") as error:
        floor.check(["rock-1.0-py3-none-any.whl", name], old)
    assert error.value.problems == (f"{name}: {why}",)


def test_pip_takes_the_wheel_for_the_target_and_not_for_this_machine(
    sample: Sample, old: Interpreter, tmp_path: Path
) -> None:
    made = [make_wheel(sample.wheels, "sand", "1.0", {"sand.py": ""}, tag=native(v)) for v in ("2.17", "2.28", "2.34")]
    text = lock_of(*made)
    hashes = [line for line in text.splitlines() if "--hash" in line]
    pins = lock.for_target(lock.parse("sand==1.0 \\\n" + " \\\n".join(hashes) + "\n", "app.txt"), old)
    (wheel,) = wheelhouse.fetch(pins, "app.txt", old, Cache(tmp_path / "cache"))
    assert wheel.path.name == made[1].name


def test_says_what_the_wheels_that_there_are_would_need(sample: Sample, old: Interpreter, tmp_path: Path) -> None:
    wheel = make_wheel(sample.wheels, "sand", "1.0", {"sand.py": ""}, tag=native("2.38"))
    pins = lock.for_target(lock.parse(lock_of(wheel), "app.txt"), old)
    with pytest.raises(
        WheelhouseError, match=r"^app\.txt:2: sand 1\.0: no wheel for the target .*glibc 2\.28"
    ) as error:
        wheelhouse.fetch(pins, "app.txt", old, Cache(tmp_path / "cache"))
    assert error.value.problems == (f"{wheel.name}: needs glibc 2.38, the target has 2.28",)


def test_a_package_for_a_newer_python_is_refused(sample: Sample, tmp_path: Path) -> None:
    needs = "Requires-Python: >=3.12\n"
    wheel = make_wheel(sample.wheels, "pebble", "1.3", {"pebble.py": "COLOUR = 'red'\n"}, metadata=needs)
    sample.write("locks/shop.txt", lock_of(wheel))
    with pytest.raises((ReleaseError, WheelhouseError)) as error:
        build_release(sample.root, None, tmp_path / "dist", Cache(tmp_path / "cache"))
    assert ">=3.12" in error.value.report()


def test_the_contract_names_the_floor(sample: Sample, tmp_path: Path) -> None:
    sample.edit("pyproject.toml", 'python = "3.11"', 'python = "3.11"\nglibc = "2.17"')
    wheel = make_wheel(sample.wheels, "pebble", "1.3", {"pebble.py": ""}, tag=native("2.28"))
    sample.write("locks/shop.txt", lock_of(wheel))
    with pytest.raises(WheelhouseError, match=r"glibc 2\.17") as error:
        build_release(sample.root, None, tmp_path / "dist", Cache(tmp_path / "cache"))
    assert error.value.problems == (f"{wheel.name}: needs glibc 2.28, the target has 2.17",)
