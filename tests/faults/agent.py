"""The agent of a host, in a trap: stands where releasectl was, which lies beside it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [f"{HERE}/releasectl.zip", f"{HERE}/.."]

import trap  # noqa: E402

from deploy.agent import cli  # noqa: E402

if sys.argv[-1] == "session":
    trap.spring(cli, HERE)
raise SystemExit(cli.main())
