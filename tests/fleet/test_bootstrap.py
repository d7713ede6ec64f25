"""From empty servers to a served application, by what an operator types; then again, killed, drifted and grown."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploy import lease
from deploy.fleet.machines import Machine
from deploy.hosts import connect
from tests.deploy.agent import kit
from tests.support.remote import NAME
from tests.support.servers import Servers, held, switched_on

pytestmark = pytest.mark.timeout(900)  # five installations of packages, on whatever computer

ROLES = {"lb1": "lb", "web1": "web", "db1": "db"}
ENVIRONMENT = """
transport = "ssh"
secrets = ["SECRET_KEY", "DATABASE_PASSWORD"]

[ssh]
identity = "{access.identity}"
known_hosts = "{access.known_hosts}"
config = "/dev/null"
connect_timeout = 3

[balancer]
listen = "{lb}:443"
tls = "self-signed"
names = ["sample.example"]
max_request = 5

[rollout]
lease = 5
drain_timeout = 5

[prober]
clients = 2
rate = 20

[variables]
COLOUR = "blue"

{hosts}
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Boot empty servers, and describe them."""
    with switched_on(tmp_path_factory.mktemp("bootstrap"), ENVIRONMENT, ROLES) as made:
        yield made


@pytest.fixture(scope="module")
def site(empty: Servers, real_release: kit.Release) -> Servers:
    """Set the servers up in two goes: the first one is killed, and a server loses its power meanwhile. Then deploy."""
    empty.release("1.0", real_release)
    process = empty.start("bootstrap:fleet")
    assert process.stdout
    for line in process.stdout:
        if line.startswith("  web1") and "changed" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    empty["db1"].power_off()  # in the middle of its packages, which take the longest
    empty["db1"].boot()
    done = empty.fab("bootstrap:fleet")
    assert "3 answer as deploy" in done.out
    assert "-> " in done.out.splitlines()[-1]
    assert "deploy:fleet" in done.out.splitlines()[-1]
    empty.deploy("1.0")
    return empty


def written(machine: Machine) -> set[str]:
    """List what is on a machine's disk: every file, with its size and when it was written."""
    said = machine.run("find /etc /opt /root /home /srv /usr /var/lib /var/cache -xdev -type f -printf '%p %s %T@\\n'")
    own = ("/var/lib/systemd", "/var/lib/apt", "/var/cache/apt")  # of the system itself, which is never idle
    return {line for line in said.stdout.splitlines() if not line.startswith(own)}


def test_a_dry_run_of_an_empty_server_leaves_nothing_behind(empty: Servers) -> None:
    """Some states can't tell what they would do before others did theirs: they fail, and say so."""
    empty.fab("secrets:fleet", "--generate")
    before = written(empty["web1"])
    shown = empty.fab("highstate:fleet", "--dry-run", "--limit", "web1", expect=None)
    assert "would change  The packages of this server are installed" in shown.out
    assert written(empty["web1"]) == before
    assert not list((empty["web1"].root / "var/tmp").glob(f"{NAME}-*"))


def test_a_host_whose_key_is_unknown_is_named_with_what_to_type(empty: Servers) -> None:
    known = empty.path / "access/known_hosts"
    before = known.read_text()
    empty.hang_up()  # a connection that is open already asks for no key
    known.write_text("".join(line for line in before.splitlines(keepends=True) if ",web1 " not in line))
    try:
        done = empty.fab("bootstrap:fleet", expect=20)
    finally:
        known.write_text(before)
    assert "web1: the host key of" in done.err
    assert f"ssh-keyscan -t ed25519 {empty['web1'].address} >>" in done.err
    assert "lb1" not in done.err


def test_the_application_answers_over_https_through_the_load_balancer(site: Servers) -> None:
    assert site.versions() == {"1.0"}
    address = site["lb1"].address
    asked = [
        "curl",
        "--silent",
        "--show-error",
        "--resolve",
        f"sample.example:443:{address}",
        "https://sample.example/",
    ]
    pem = site.path / "certificate.pem"
    pem.write_text(site.secrets["TLS_CERTIFICATE"])
    answer = subprocess.run([*asked, "--cacert", str(pem)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout


def test_a_second_highstate_changes_nothing(site: Servers) -> None:
    results = site.highstate()
    assert set(results) == {"lb1", "web1", "db1"}
    assert {host: (r["changed"], r["failed"], r["errors"]) for host, r in results.items()} == {
        host: ([], [], []) for host in results
    }


def test_states_that_a_server_has_are_not_sent_again_unless_somebody_touched_them(site: Servers) -> None:
    site.highstate()
    current = site["web1"].root / f"etc/{NAME}/salt/current"
    sent, compiled = current.readlink(), sorted((current / "compiled").iterdir())
    assert compiled
    site.highstate("--limit", "web1")
    assert current.readlink() == sent
    assert sorted((current / "compiled").iterdir()) == compiled
    (current / "states/app/agent.sls").write_text("{}")
    assert site.highstate("--limit", "web1")["web1"]["changed"] == []
    assert current.readlink() != sent
    assert "The agent is installed" in (current / "states/app/agent.sls").read_text()


def stopped(site: Servers, task: str, machine: Machine) -> subprocess.Popen[str]:
    """Type a task, and Ctrl-C when the machine is at a state that waits; read until it says what it stops after."""
    process = site.start(f"{task}:fleet", "--limit", machine.name)
    while process.poll() is None and not (machine.root / "root/held").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "stops after" in line:
            return process
    raise AssertionError("".join(seen) + process.communicate()[1])


@pytest.mark.parametrize("task", ["highstate", "bootstrap"])
def test_ctrl_c_lets_servers_end_the_state_they_are_at_and_the_next_run_goes_on(site: Servers, task: str) -> None:
    machine, drifted = site["web1"], f"/usr/lib/systemd/system/{NAME}@.service"
    machine.run(f"echo '# by hand' >>{drifted}")
    with held(machine) as hold:
        process = stopped(site, task, machine)
        hold.unlink()
        out, err = process.communicate(timeout=site.patience)
    assert process.returncode == 130
    assert re.search(r"web1 +stopped after \d+ of \d+ states: 0 changed, 0 failed", out)
    assert f"{task}:fleet goes on" in err
    assert machine.run("pgrep -f [r]un_states", check=False).returncode == 1
    result = site.highstate("--limit", "web1")["web1"]
    assert drifted in {state["name"] for state in result["changed"]}
    assert (result["failed"], result["left"]) == ([], 0)


def test_a_second_ctrl_c_leaves_servers_to_themselves_at_once(site: Servers) -> None:
    machine = site["web1"]
    with held(machine) as hold:
        process = stopped(site, "highstate", machine)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=site.patience)
        assert process.returncode == 130
        assert "web1: left to itself: it ends the state that it is at" in out
        assert "highstate:fleet goes on" in err
        machine.run("pgrep -f [r]un_states")
        after = site.start("highstate:fleet", "--limit", "web1", "--json")
        hold.unlink()
        said, _ = after.communicate(timeout=site.patience)
    assert after.returncode == 0
    (result,) = json.loads(said)["hosts"]
    assert (result["changed"], result["failed"], result["left"]) == ([], [], 0)


def test_no_server_has_secrets_of_others(site: Servers) -> None:
    allowed = {
        "lb1": {"TLS_CERTIFICATE", "STATS_PASSWORD"},
        "web1": {"SECRET_KEY", "DATABASE_PASSWORD"},
        "db1": {"DATABASE_PASSWORD", "DATABASE_OWNER_PASSWORD", "DATABASE_READER_PASSWORD"},
    }
    # Of several lines the last but one: of a certificate with its key that is the end of the key.
    lines = {value.strip().splitlines()[-2 if "\n" in value else 0]: name for name, value in site.secrets.items()}
    patterns = "\n".join(lines)
    assert set(lines.values()) == set().union(*allowed.values())
    for host, names in allowed.items():
        search = "grep -rhoF -f - /etc /opt /root /home /usr/local /usr/lib/sample /var/lib /var/log /var/cache"
        said = site[host].run(search, data=patterns, check=False).stdout
        assert {lines[line] for line in said.splitlines()} == names, host


def test_a_change_of_a_secret_is_shown_with_stars(site: Servers) -> None:
    before = site.secrets["STATS_PASSWORD"]
    site.fab("secrets:fleet", "--rotate", "STATS_PASSWORD")
    assert site.secrets["STATS_PASSWORD"] != before
    with site.edited("names = [", '# secret\nnames = ["also.example", '):
        shown = site.fab("highstate:fleet", "--dry-run", "--limit", "lb1").out
    assert "would change" in shown
    done = site.fab("highstate:fleet", "--limit", "lb1")
    assert "changed" in done.out
    for secret in (before, site.secrets["STATS_PASSWORD"]):
        assert secret not in shown + done.out + done.err


def test_drift_is_mended_and_reported(site: Servers) -> None:
    machine = site["web1"]
    unit = f"/usr/lib/systemd/system/{NAME}@.service"
    machine.run(f"echo '# by hand' >>{unit}")
    changed = site.highstate("--limit", "web1")["web1"]["changed"]
    assert any("# by hand" in str(state["changes"]) for state in changed), changed
    assert "by hand" not in machine.run(["cat", unit]).stdout


def test_the_same_states_run_by_hand(site: Servers) -> None:
    for command in (f"{NAME}-highstate", "salt-call --local state.highstate"):
        said = site["web1"].run(f"/usr/local/sbin/{command} --out=json --out-indent=-1").stdout
        states = json.loads(said)["local"]
        assert len(states) > 20
        assert not [state for state in states.values() if state["changes"] or not state["result"]]


@contextmanager
def rollout_at_work(site: Servers) -> Iterator[None]:
    """Hold the lease, as a rollout does."""
    with connect(site.environment, NAME) as hosts, lease.hold(hosts, "a rollout of the test"):
        yield


def test_a_rollout_keeps_highstates_away(site: Servers) -> None:
    with rollout_at_work(site):
        refused = site.fab("highstate:fleet", expect=3)
        assert "web1" in refused.err or "lb1" in refused.err
        assert site.highstate("--force", "--limit", "lb1").keys() == {"lb1"}
        assert site.highstate("--dry-run", expect=10).keys() == {"lb1", "web1", "db1"}


@contextmanager
def user_with_sudo(site: Servers) -> Iterator[None]:
    """Set servers up as a user that cloud-init made, on each of them, for a while."""
    servers = [site[name] for name in site.environment.hosts]
    for machine in servers:
        machine.run(
            "apt-get --quiet --yes install sudo"
            " && useradd --create-home --shell /bin/bash cloud"
            " && cp -r /root/.ssh ~cloud/ && chown -R cloud: ~cloud/.ssh"
            " && echo 'cloud ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/cloud"
        )
    try:
        with site.edited("[ssh]", '[ssh]\nadmin = "cloud"'):
            yield
    finally:
        site.hang_up()
        for machine in servers:
            machine.run("pkill -u cloud; rm /etc/sudoers.d/cloud; userdel --remove cloud", check=False)


def test_an_installed_salt_is_used_instead_of_ours(site: Servers) -> None:
    """As the vendor's package has it: a Python of its own, with salt-call beside it."""
    machine, home = site["web1"], "/opt/saltstack/salt"
    machine.run(
        f"python3 -m venv --without-pip {home}"
        f" && echo /usr/lib/{NAME}/salt/current/lib >{home}/lib/python3.11/site-packages/salt.pth"
        f" && cp /usr/lib/{NAME}/salt/current/bin/salt-call {home}/ && ln -s {home}/salt-call /usr/bin/salt-call"
    )
    try:
        done = site.fab("highstate:fleet", "--limit", "web1")
        assert "is installed" in done.out
        assert "0 failed" in done.out
        assert "/usr/bin/salt-call" in machine.run(["cat", f"/usr/local/sbin/{NAME}-highstate"]).stdout
    finally:
        machine.run(f"rm -r {home} /usr/bin/salt-call")


def test_a_master_runs_the_same_states_on_minions_chosen_by_role(site: Servers, tmp_path: Path) -> None:
    """The bundle has master and minion; states and pillars are the ones that are sent otherwise."""
    master = site.fleet.add("salt")
    master.push((site["web1"].root / f"usr/lib/{NAME}/salt/current").resolve(), "/opt/salt")
    site.fab("pillar:fleet", "--write", str(tmp_path / "tree"))
    assert (tmp_path / "tree/pillar/web1.sls").stat().st_mode & 0o777 == 0o600
    master.push(tmp_path / "tree", "/srv/tree")
    roots = {kind: {"base": [f"/srv/tree/{kind.partition('_')[0]}"]} for kind in ("states_roots", "pillar_roots")}
    settings = {"file_roots": roots["states_roots"], "pillar_roots": roots["pillar_roots"], "auto_accept": True}
    site.write(master, {"/etc/salt/master": json.dumps({**settings, "worker_threads": 2})})
    master.run("systemd-run --quiet --unit=salt-master /opt/salt/bin/salt-master")
    for host, role in ROLES.items():
        minion = {"master": master.address, "id": host, "grains": {"roles": [role]}, "autoload_dynamic_modules": False}
        site.write(site[host], {"/etc/salt/minion": json.dumps(minion)})
        program = f"/usr/lib/{NAME}/salt/current/bin/salt-minion"
        site[host].run(f"systemd-run --quiet --unit=salt-minion {program}")
    try:
        wait_for_minions(master)
        answer = master.run("/opt/salt/bin/salt --out=json --static -G roles:web test.ping").stdout
        assert json.loads(answer) == {"web1": True}
        answer = master.run("/opt/salt/bin/salt --out=json --static -t 120 '*' state.highstate", timeout=150).stdout
        for host, states in json.loads(answer).items():
            assert len(states) > 20, (host, states)
            assert not [s for s in states.values() if s["changes"] or not s["result"]], host
    finally:
        for host in ROLES:
            site[host].run("systemctl stop salt-minion; rm -r /etc/salt", check=False)
        master.remove()


def wait_for_minions(master: Machine) -> None:
    """Wait until every minion has a key that the master took, and answers."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        said = master.run("/opt/salt/bin/salt --out=json --static -t 5 '*' test.ping", check=False).stdout
        with suppress(ValueError):
            if {host for host, there in json.loads(said).items() if there is True} == set(ROLES):
                return
    raise AssertionError(master.run("journalctl -u salt-master | tail -20").stdout)


def test_a_single_web_host_changes_release_without_a_lost_request(site: Servers, real_release: kit.Release) -> None:
    """There is nobody to drain it to: two generations overlap on its socket."""
    site.release("1.1", real_release)
    site.bundle = site.secrets["TLS_CERTIFICATE"]
    with site.traffic() as probed:
        site.deploy("1.1")
        assert site.versions() == {"1.1"}
        site.fab("rollback:fleet")
    assert site.versions() == {"1.0"}
    assert probed[0].failed == 0
    assert probed[0].requests > 0


def test_a_new_web_host_comes_into_service_without_a_lost_request(site: Servers) -> None:
    """Where the release that serves is not at hand, everything but the last step is done, and the message says what.

    That far a user with sudo brings it from empty as well as root does.
    """
    machine = site.add("web2")
    # Servers of a cloud come without the contract's Python now and then.
    machine.run("apt-get --quiet --yes purge python3.11-minimal")
    kept = site.path / "dist/sample-1.0"
    kept.rename(site.path / "dist/.away")
    try:
        with user_with_sudo(site):
            done = site.fab("bootstrap:fleet", "--limit", "web2", expect=20)
            assert site.highstate("--dry-run", "--limit", "web2", expect=10).keys() == {"web2"}
    finally:
        (site.path / "dist/.away").rename(kept)
    assert "1 server, and lb1, db1, which have to know of it" in done.out
    assert "python3.11 on web2" in done.out
    assert "web2: set up, and without the release that serves: no release tree for 1.0" in done.err
    site.bundle = site.secrets["TLS_CERTIFICATE"]
    with site.traffic(clients=4, rate=40) as probed:
        site.fab("bootstrap:fleet", "--limit", "web2")
    assert probed[0].failed == 0
    assert probed[0].requests > 0
    assert {name: host.current for name, host in site.status().items()} == {"web1": 1, "web2": 1}
    assert site.versions() == {"1.0"}
    assert site.fab("bootstrap:fleet").out.splitlines()[-1].startswith("fleet was set up already")
