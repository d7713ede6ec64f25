"""Run the agent: `python -m deploy.agent`."""

from __future__ import annotations

from deploy.agent.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
