"""A load balancer for the tests of its configuration."""

from tests.support.haproxy import balancer, echo

__all__ = ["balancer", "echo"]
