"""Machines, shared by the tests of one worker."""

from tests.support.machine import fleet, installed, real_release, server, serving
from tests.support.remote import remote
from tests.support.salted import salted

__all__ = ["fleet", "installed", "real_release", "remote", "salted", "server", "serving"]
