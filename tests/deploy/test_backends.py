"""Backends beside the project's own: what they get of each server's places, and servers that are one in all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.backends import is_of, of
from deploy.bake import Counters
from deploy.balancer import Balancer
from deploy.environment_model import BackendEntry, BalancerEntry
from deploy.facts import Server
from tests.support.contracts import minimal

API = BackendEntry(paths=("/api",), share="25%", max_request=10)
LISTEN = "10.0.0.11:443"


def test_without_another_backend_all_places_are_for_all_requests() -> None:
    contract = minimal()
    found = of(contract, BalancerEntry(listen=LISTEN))
    assert found == {"slots": contract.server.slots, "max_request": 60, "backends": []}


@pytest.mark.parametrize(
    ("shares", "places"), [(["25%"], [4, 12]), (["25%", "50%"], [4, 8, 4]), (["1%"], [1, 15]), (["99%"], [15, 1])]
)
def test_each_has_its_share_of_places_and_the_rest_is_for_all_others(shares: list[str], places: list[int]) -> None:
    contract = minimal("[tool.slipway.server]\nworkers = 2\nthreads = 8")
    backends = {f"b{n}": BackendEntry(paths=(f"/b{n}",), share=share) for n, share in enumerate(shares)}
    found = of(contract, BalancerEntry(listen=LISTEN, backends=backends))
    assert [*(backend["slots"] for backend in found["backends"]), found["slots"]] == places


def test_nobody_is_left_without_a_place() -> None:
    contract = minimal("[tool.slipway.server]\nworkers = 1\nthreads = 1")
    found = of(contract, BalancerEntry(listen=LISTEN, backends={"api": API}))
    assert (found["slots"], found["backends"][0]["slots"]) == (1, 1)


def test_how_long_a_request_may_take_is_said_for_each_or_as_everywhere() -> None:
    entry = BalancerEntry(listen=LISTEN, max_request=90, backends={"api": API, "x": BackendEntry(names=("x.org",))})
    found = of(minimal(), entry)
    assert [(b["name"], b["max_request"]) for b in found["backends"]] == [("sample.api", 10), ("sample.x", 90)]


@pytest.mark.parametrize(
    ("proxy", "own"), [("shop", True), ("shop.api", True), ("shop-admin", False), ("shop-http", False), ("x", False)]
)
def test_a_backend_is_the_projects_by_its_name(proxy: str, own: bool) -> None:
    assert is_of(proxy, "shop") is own


ANSWERS = " ".join(f"hrsp_{kind}" for kind in ("2xx", "3xx", "4xx", "5xx", "other"))
COLUMNS = f"pxname svname scur qcur status check_status {ANSWERS} eresp wretr wredis rtime"
STATE = "1\n# srv_name srv_admin_state srv_op_state srv_addr srv_port\nweb1 8 2 10.0.0.21 8000\n"


def said(*rows: str) -> str:
    """Write a table as HAProxy does."""
    return "# " + "\n".join(",".join(row.split()) for row in (COLUMNS, *rows)) + "\n"


def test_a_server_is_free_of_users_when_no_backend_has_a_request_for_it() -> None:
    stat = said(
        "sample.api web1 2 1 DRAIN - 5 0 0 1 0 0 0 0 20",
        "sample web1 3 0 DRAIN L7OK 9 0 0 0 0 0 0 0 7",
        "other web1 9 9 UP L7OK 9 9 9 9 9 9 9 9 9",
    )

    def send(*commands: str, **_: object) -> list[str]:
        return [{"show holds": "{}", "show stat -1 4 -1": stat}.get(command, STATE) for command in commands]

    balancer = Balancer("sample", send)
    found = balancer.server("web1")
    assert found == Server("web1", "drain", up=True, proven=True, sessions=6, check="L7OK", address="10.0.0.21:8000")
    assert [*balancer.counters().values()] == [
        {"web1": Counters(answers=9, milliseconds=7, waiting=3)},
        {"web1": Counters(answers=6, errors=1, milliseconds=20, waiting=3)},
    ], "each by itself: response times of two averages can't be added"


def mistakes(file: Path) -> str:
    """Read an environment file with this `[balancer.backends]`; give what is wrong with it."""
    from deploy.environment import EnvironmentFileError, read

    with pytest.raises(EnvironmentFileError) as caught:
        read(file.stem, file.parent)
    return " ".join(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[balancer.backends.api]", "whose requests"),
        ('[balancer.backends.api]\npaths = ["/api/"]', "without a slash at its end"),
        ('[balancer.backends.api]\npaths = ["/a b"]', "expected one such as"),
        ('[balancer.backends.api]\nnames = ["API"]', "in lower case"),
        ('[balancer.backends.api]\npaths = ["/api"]\nshare = "100%"', "less than"),
        ('[balancer.backends.API]\npaths = ["/api"]', "expected a name"),
        ('[balancer.backends.a]\npaths = ["/a"]\n[balancer.backends.b]\npaths = ["/a"]', "in one of them only"),
        (
            "[balancer.backends]\n" + "\n".join(f'{n} = {{ paths = ["/{n}"], share = "50%" }}' for n in "ab"),
            "less than 100% together",
        ),
    ],
)
def test_what_cannot_be_told_apart_or_leaves_no_room_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    head = 'transport = "local"\ndirectory = "x"\n[hosts.web1]\nroles = ["web"]\nlisten = "127.0.0.1:8101"\n'
    (tmp_path / "shop.toml").write_text(f'{head}[balancer]\nlisten = "127.0.0.1:8100"\n{text}\n')
    assert problem in mistakes(tmp_path / "shop.toml")
