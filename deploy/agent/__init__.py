"""releasectl: the one program that Slipway keeps on every server (docs/reference/agent.md)."""

from __future__ import annotations

VERSION = "0.1.0"
BUILD = "source"  # the builder of the zipapp puts the digest of the sources here
