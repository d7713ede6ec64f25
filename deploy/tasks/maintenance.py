"""The page that users get while a site is closed."""

from __future__ import annotations

from typing import Any

from deploy.tasks import help_texts

WORDS = ("on", "off")


def maintenance(c: Any, environment: str, state: str, yes: bool = False, json: bool = False) -> None:
    """Close ENV to users, who get a page that says so, or open it again: fab maintenance:ENV on."""
    from deploy import maintenance as site
    from deploy.errors import Exit, SlipwayError
    from deploy.hosts import connect
    from deploy.tasks import common

    if state not in WORDS:
        raise SlipwayError(f'expected on or off, got "{state}"', hint=f"fab maintenance:{environment} on")
    settings, contract = common.open_environment(environment)
    if state == "on":
        common.confirm(settings, "close it to users", yes=yes)
    with connect(settings, contract.name) as hosts:
        hosts.require_bootstrap()
        changed = site.switch(hosts, closed := state == "on")
    if json:
        common.say_json({"environment": environment, "closed": closed, "changed": changed, "url": settings.url})
    else:
        how = "closed: users get the maintenance page" if closed else "open"
        what = "" if changed else "nothing to do: "
        back = f" -> fab maintenance:{environment} off" if closed else ""
        common.say(f"{what}{settings.url} is {how}{back}")
    common.leave(Exit.OK if changed else Exit.NOTHING_TO_DO)


maintenance.help = {  # type: ignore[attr-defined]
    "state": "on or off",
    "yes": "don't ask",
    "json": help_texts.JSON,
}
