"""The agent of a host, in a trap: stands where releasectl was, which lies beside it."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [f"{HERE}/releasectl.zip", f"{HERE}/.."]

import trap  # noqa: E402

from deploy.agent import cli  # noqa: E402

if sys.argv[-1] == "session":
    TRAP = trap.of(os.path.basename(HERE), HERE, f"{HERE}/../trap.json")
    answer = cli.answer

    def trapped(layout, channel, request):
        """Carry out a request; its beginning and its end are places to die as well."""
        TRAP.doing = trap.label(request.get("verb"), request)
        if not TRAP.doing:
            return answer(layout, channel, request)
        TRAP.seen.clear()
        TRAP.point("begin")
        try:
            return answer(layout, channel, request)
        finally:
            TRAP.point("end")
            TRAP.doing = "between"

    cli.answer = trapped
raise SystemExit(cli.main())
