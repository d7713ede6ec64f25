"""Machines, shared by the tests of one worker."""

from tests.support.machine import fleet, installed, real_release, server, serving
from tests.support.remote import remote

__all__ = ["fleet", "installed", "real_release", "remote", "server", "serving"]
