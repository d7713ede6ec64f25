"""What a plan means, in a few lines: read as a newcomer would."""

from __future__ import annotations

from dataclasses import replace

from deploy.batches import CONFIRM, Policy
from deploy.changes import Change
from deploy.facts import Host, Lack
from deploy.overview import named, overview
from deploy.plan import Group, Kind, Plan, Step, plan_rollout
from tests.deploy.test_plan import EMPTY, TARGET, serving

SENT = Lack(files=18, bytes=12345)


def told(hosts: list[Host], policy: Policy, *changes: Change, **target: object) -> list[str]:
    """Write the overview as `fab plan` does."""
    plan = plan_rollout(hosts, replace(TARGET, **target), policy)  # type: ignore[arg-type]
    return [f"{word}: {text}" if word else text for word, text in overview(hosts, plan, policy, changes)]


def test_a_new_release_is_told_in_ten_lines() -> None:
    hosts = [serving(name, lack=SENT) for name in ("web1", "web2", "web3")]
    policy = Policy(batch="50%", floor=1, max_unavailable=2, bake=10, pause=CONFIRM, pause_after="canary")
    migrations = {"migrations": ("0001", "0002"), "described": {"0002": "0002 (expand: Add quarters.)"}}
    assert told(hosts, policy, Change("LOG_LEVEL", "INFO", "DEBUG"), Change("KEY", "***", "***"), **migrations) == [
        "instead of: 1.0, generation 1 on web1, web2, web3",
        "sends: 18 files, 12.3 kB to each of web1, web2, web3",
        "variables: LOG_LEVEL: INFO -> DEBUG",
        "KEY changes (***)",
        "database: migrates: 0002 (expand: Add quarters.); once, on web1",
        "restarts: web on web1, web2, web3: new processes start beside the old ones, which finish and leave",
        "order: web1 (canary) -> web2 -> web3",
        "canary = 1, batch = 50%; at least 1 of 3 in service, at most 2 out",
        "after each, 10 s of comparison with servers that are still old; a worse release goes back",
        "after the canary, asks whether to go on",
    ]


def test_what_is_not_done_is_told_too() -> None:
    hosts = [serving("web1"), serving("web2", lack=SENT)]
    lines = told(hosts, Policy(canary=0, floor=2))
    assert "sends: 18 files, 12.3 kB to web2" in lines
    assert "variables: none changes" in lines
    assert "database: no migration" in lines
    assert "order: web1 (undrained) -> web2 (undrained)" in lines
    assert lines[-1].endswith("at least 2 of 2 in service: too few to drain, so both generations overlap on the socket")


def test_who_is_asked_before_migrations_run_is_told() -> None:
    """Whether what runs works on a scratch copy of the migrated schema."""
    migrations = {"migrations": ("0001", "0002"), "described": {"0002": "0002 (expand: Add quarters.)"}}
    hosts = [serving("web1"), serving("web2")]
    lines = told(hosts, Policy(), **migrations, rehearses=True)
    text = "database: on a scratch copy asks generation 1, which is running, before 0002; migrates: 0002"
    assert any(line.startswith(text) for line in lines), lines


def test_a_server_alone_is_compared_with_itself() -> None:
    lines = told([serving("web1")], Policy(bake=5))
    assert lines[-1] == "after each, 5 s of comparison with what served before; a worse release goes back"


def test_workers_restart_by_their_own_name() -> None:
    hosts = [serving("web1"), serving("web2", runs=("web", "worker"))]
    assert any(line.startswith("restarts: web on web1, web2; worker on web2: new") for line in told(hosts, Policy()))


def test_the_first_release_has_nothing_before_it() -> None:
    lines = told([EMPTY, replace(EMPTY, name="web2")], Policy(), seed=True)
    assert lines[0] == "instead of: nothing on web1, web2"
    assert "variables: all are new: nothing was here" in lines
    assert "database: migrates: 0001; seeds: the environment is empty; once, on web1" in lines
    assert "starts: web on web1, web2" in lines
    assert lines[-1] == "order: all at once: nothing is in service yet"


def test_a_host_that_is_left_out_is_named() -> None:
    plan = plan_rollout([serving("web1")], TARGET, Policy())
    fence = Group("fence", ((Step(Kind.FENCE, "web2", "can't be reached"),),))
    rows = dict(overview([serving("web1")], replace(plan, groups=(fence, *plan.groups)), Policy(), ()))
    assert rows["left out"] == "web2: can't be reached, and gets no users until it runs what all run"


def test_an_empty_plan_means_nothing() -> None:
    assert overview([], Plan(TARGET), Policy(), ()) == ()


def test_of_many_hosts_a_few_are_named() -> None:
    assert named([f"web{i}" for i in range(1, 7)]) == "web1, web2, web3, web4, web5, web6"
    assert named([f"web{i}" for i in range(1, 31)]) == "web1, web2, web3, web4, web5 and 25 more"
