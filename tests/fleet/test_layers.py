"""Packages that lie under machines: some installed, some at hand without the network."""

from __future__ import annotations

import pytest

from deploy.fleet import layers, machines
from deploy.fleet.base import obstacle


def test_packages_are_there_and_others_install_without_the_network() -> None:
    if obstacle():
        pytest.skip(str(obstacle()))
    with machines.fleet(print, "a", packages=("hello",), cached=("tree",)) as fleet:
        machine = fleet.machines["a"]
        assert machine.run("hello").stdout == "Hello, world!\n"
        assert machine.run("command -v tree", check=False).stdout == ""
        machine.run("ip route delete default")
        machine.run("apt-get -qq install --yes tree")
        assert machine.run("command -v tree").stdout == "/usr/bin/tree\n"


def test_a_package_that_is_asked_for_twice_makes_no_other_layer() -> None:
    if obstacle():
        pytest.skip(str(obstacle()))
    assert layers.lower(print, ("hello", "hello")) == layers.lower(print, ("hello",))


def test_a_package_that_is_not_there_is_named() -> None:
    if obstacle():
        pytest.skip(str(obstacle()))
    with pytest.raises(machines.MachineError) as caught:
        layers.lower(print, ("no-such-package",))
    assert "no-such-package" in " ".join(caught.value.problems)
