"""Rate limits: how often somebody may ask, counted by the library ``limits``, told in the standard headers.

Counted in the memory of each process, or in Redis where there is one: then all processes of all servers count together.
When Redis can't be reached everybody is let in: better a limit too few than no answer.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.settings.validators import RATE
from app.web.problems import BadRequest

if TYPE_CHECKING:
    from limits.storage import Storage
    from limits.strategies import RateLimiter

logger = logging.getLogger(__name__)

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    amount: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Read ``600/minute``; ``off`` is None. Raises ValueError."""
        if text == "off":
            return None
        match = RATE.fullmatch(text)
        if match is None:
            raise ValueError("not a rate")
        return cls(int(match[1]), SECONDS[match[2]])


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands after a request."""

    policy: str
    rate: Rate
    allowed: bool
    remaining: int
    reset: int
    """Seconds until there is more."""

    @property
    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10)."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.rate.amount};w={self.rate.seconds}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.reset}',
        }


class TooManyRequests(BadRequest):
    """Somebody has asked too often."""

    def __init__(self, standing: Standing) -> None:
        detail = f"You may ask {standing.rate.amount} times in {standing.rate.seconds} seconds here; wait a little."
        headers = {**standing.headers, "Retry-After": str(max(1, standing.reset))}
        super().__init__(429, detail, headers=headers, kind=EXCEEDED, members={"violated-policies": [standing.policy]})


class RateLimits:
    """Counts requests by policy and by who asks. ``make_storage`` is called when something is first counted."""

    def __init__(self, rates: Mapping[str, Rate | None], make_storage: "Callable[[], Storage]") -> None:
        self.rates = rates
        self.make_storage = make_storage
        self.made: RateLimiter | None = None

    def take(self, policy: str, who: str) -> Standing | None:
        """Count a request, and say where whoever asks stands; None where there is no limit."""
        rate = self.rates.get(policy)
        if rate is None:
            return None
        from limits import RateLimitItemPerSecond

        item = RateLimitItemPerSecond(rate.amount, rate.seconds, namespace=policy)
        try:
            allowed = self.limiter.hit(item, who)
            stats = self.limiter.get_window_stats(item, who)
        except Exception as error:  # the library wraps what its storages raise, each in its own way
            logger.warning("rate limits can't be counted: %s", error)
            return None
        reset = max(0, math.ceil(stats.reset_time - time.time()))
        return Standing(policy, rate, allowed, stats.remaining if allowed else 0, reset)

    @property
    def limiter(self) -> "RateLimiter":
        """What counts; two threads that make it at once lose a count or two."""
        if self.made is None:
            from limits.strategies import SlidingWindowCounterRateLimiter

            self.made = SlidingWindowCounterRateLimiter(self.make_storage())
        return self.made


def address_key(address: str) -> str:
    """Name who asks from an address. Of IPv6 addresses everybody has 2^64: they count as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address:unknown"
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        return f"address:{mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address}"
    return f"address:{parsed}"
