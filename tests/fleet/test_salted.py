"""Servers that Salt made: what each role's finished server is, and that drift, and nothing else, is mended."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.open_ports import documented, role, rows
from tests.support.salt import KEY, NAME
from tests.support.salted import HOSTS, Salted

APPLICATION = "ADDRESS:8000"  # nobody listens there before the first deploy
PATIENCE = 3.0  # seconds until a port counts as closed; an open one answers in a millisecond


# --- What each role's finished server is.


@pytest.mark.parametrize("name", HOSTS)
def test_every_server(salted: Salted, name: str) -> None:
    host = salted.infra(name)
    assert host.user("deploy").shell == "/bin/sh"
    assert host.user("deploy").password == "*", "no password fits"
    keys = host.file(f"{host.user('deploy').home}/.ssh/authorized_keys")
    assert (keys.user, keys.mode) == ("deploy", 0o600)
    assert keys.content_string.splitlines()[1:] == [f"restrict {KEY}"]
    assert host.file(f"/etc/sudoers.d/{NAME}").mode == 0o440
    assert host.run(f"runuser -u deploy -- sudo -n /usr/lib/{NAME}/releasectl --name {NAME} session </dev/null").rc == 0
    for refused in ("true", f"/usr/lib/{NAME}/releasectl --name {NAME} status", f"/usr/lib/{NAME}/releasectl"):
        assert host.run(f"runuser -u deploy -- sudo -n {refused}").rc == 1
    assert host.file(f"/usr/lib/{NAME}/releasectl").mode == 0o755
    sshd = host.run("sshd -T").stdout
    for line in ("passwordauthentication no", "permitrootlogin without-password", "x11forwarding no"):
        assert f"\n{line}\n" in sshd
    assert host.service("systemd-timesyncd").is_enabled
    assert host.service("apt-daily-upgrade.timer").is_running
    assert 'APT::Periodic::Unattended-Upgrade "1";' in host.run("apt-config dump").stdout
    origins = [line for line in host.run("apt-config dump").stdout.splitlines() if "Origins-Pattern:: " in line]
    assert len(origins) == 2
    assert all("-security" in line for line in origins)
    assert "SystemMaxUse=1G" in host.run("systemd-analyze cat-config systemd/journald.conf").stdout
    assert host.service(f"{NAME}-firewall").is_running
    assert host.service(f"{NAME}-firewall").is_enabled
    assert host.run("systemctl is-system-running").stdout.strip() == "running"


@pytest.mark.parametrize("name", ["web1", "web2"])
def test_a_web_server(salted: Salted, name: str) -> None:
    host = salted.infra(name)
    user = host.user(NAME)
    assert (user.shell, user.home, user.gecos) == ("/usr/sbin/nologin", f"/var/lib/{NAME}/state", NAME)
    for place, owner, mode in (
        (f"/opt/{NAME}/generations", "root", 0o755),
        (f"/run/{NAME}", NAME, 0o750),
        (f"/var/lib/{NAME}/state", NAME, 0o700),
        (f"/etc/{NAME}/credentials", "root", 0o700),
        (f"/etc/{NAME}/credentials/SECRET_KEY", "root", 0o600),
        (f"/etc/{NAME}/{NAME}.env", "root", 0o640),
    ):
        file = host.file(place)
        assert (place, file.user, file.mode) == (place, owner, mode)
    assert host.file(f"/etc/{NAME}/credentials").listdir() == ["DATABASE_PASSWORD", "SECRET_KEY"]
    assert host.file(f"/etc/{NAME}/credentials/SECRET_KEY").content_string == "the-value-of-SECRET_KEY"
    assert 'LOG_LEVEL="info"' in host.file(f"/etc/{NAME}/{NAME}.env").content_string
    assert host.file("/usr/bin/python3.11").exists
    assert host.service(f"{NAME}.service").is_enabled
    assert host.service(f"{NAME}-leave").is_enabled
    before = host.run(f"systemctl show --value --property=Before {NAME}@1.service").stdout.split()
    assert f"{NAME}-leave.service" in before, "so it ends after that one"
    assert (
        host.run(f"systemctl show --value --property=Listen {NAME}.socket").stdout.split()[0]
        == f"{salted[name].address}:8000"
    )
    allowed = host.run(f"systemctl show --value --property=IPAddressAllow {NAME}@1.service").stdout.split()
    assert set(allowed) == {"127.0.0.0/8", "::1/128", f"{salted['db1'].address}/32"}


def test_a_load_balancer(salted: Salted) -> None:
    host = salted.infra("lb1")
    assert host.service("haproxy").is_running
    assert host.service("haproxy").is_enabled
    assert host.file("/etc/haproxy/certificate.pem").mode == 0o600
    socket = host.file("/run/haproxy/admin.sock")
    assert (socket.user, socket.mode) == ("root", 0o600)
    assert [process.user for process in host.process.filter(comm="haproxy")] == ["root", "haproxy"]
    assert host.run("curl -s -o /dev/null -w '%{http_code}' 127.0.0.1:8404/metrics").stdout == "401"
    metrics = host.run("curl -s -u stats:the-value-of-STATS_PASSWORD 127.0.0.1:8404/metrics").stdout
    assert 'haproxy_server_status{proxy="sample",server="web1"' in metrics


def test_a_database_server(salted: Salted) -> None:
    host = salted.infra("db1")
    assert host.service("postgresql@15-main").is_running
    assert host.service("postgresql@15-main").is_enabled
    asked = (
        "SELECT current_setting('wal_level'), current_setting('archive_mode'), current_setting('password_encryption')"
    )
    assert host.run(f'runuser -u postgres -- psql -AtXc "{asked}"').stdout.strip() == "replica|on|scram-sha-256"
    assert (
        host.run(
            "runuser -u postgres -- psql -AtXc 'SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL'"
        ).stdout
        == "0\n"
    )
    assert host.file("/etc/redis/redis.conf").mode == 0o600
    address = salted["db1"].address
    assert "NOAUTH" in host.run(f"redis-cli -h {address} ping").stdout
    authorised = host.run(f"REDISCLI_AUTH=the-value-of-REDIS_PASSWORD redis-cli -h {address} ping")
    assert authorised.stdout == "PONG\n"


# --- What can be reached.


@pytest.mark.parametrize("name", HOSTS)
def test_what_listens_is_what_the_page_says(salted: Salted, name: str) -> None:
    assert salted.listening(name) == documented(name) - {APPLICATION}


LISTEN = """
import socket, sys
held = []
for port in sys.argv[2:]:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((sys.argv[1], int(port)))
        one.listen()
        held.append(one)
    except OSError:
        pass  # the server's own
print("ready", flush=True)
sys.stdin.read()
"""
KNOCK = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def knock(place):
    address, _, port = place.rpartition(":")
    with socket.socket() as one:
        one.settimeout(float(sys.argv[1]))
        return place if one.connect_ex((address, int(port))) == 0 else ""
with ThreadPoolExecutor(32) as pool:
    print(*filter(None, pool.map(knock, sys.argv[2:])))
"""


def reached(salted: Salted, whence: str, places: Iterable[str]) -> set[str]:
    """Which of these places take a connection from a machine, or from outside."""
    words = ["/usr/bin/python3", "-c", KNOCK, str(PATIENCE), *places]
    return set(salted.within(whence, words).split())


@contextmanager
def listeners(salted: Salted, ports: Sequence[int]) -> Iterator[None]:
    """Listen on these ports on every machine, where nothing does so already."""
    with ExitStack() as stack:
        for name in HOSTS:
            words = [*salted[name].enter(), "python3", "-c", LISTEN, salted[name].address, *map(str, ports)]
            process = stack.enter_context(
                subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=salted[name].environment)
            )
            assert process.stdout
            assert process.stdin
            stack.callback(process.stdin.close)
            assert process.stdout.readline() == b"ready\n"
        yield


def test_each_gets_through_to_what_the_page_says(salted: Salted) -> None:
    """Something listens on every port of the page, and on one more, on every machine: the firewall tells who may."""
    ports = sorted({int(place.rpartition(":")[2]) for _, places, _ in rows() for place in places} | {9999})
    places = {f"{salted[name].address}:{port}": (name, port) for name in HOSTS for port in ports}
    with listeners(salted, ports):
        for whence in ("outside", *HOSTS):
            found = {places[place] for place in reached(salted, whence, places)}
            assert found == {place for place in places.values() if may(whence, *place)}, whence


def may(whence: str, name: str, port: int) -> bool:
    """Whether the page lets one through to a port of a host."""
    if whence == name:
        return True
    for roles, places, who in rows():
        if {role(name), "every"} & roles and any(place.endswith(f":{port}") for place in places):
            wanted = {"everybody": True, "load balancers": role(whence) == "lb"}
            return wanted.get(who, who == "web and worker hosts" and role(whence) == "web")
    return False


CONNECT = """
import psycopg, sys
try:
    psycopg.connect(sys.argv[1], connect_timeout=3).execute("SELECT 1")
    print("in")
except psycopg.Error as error:
    print(str(error).splitlines()[-1])
"""


def connect(salted: Salted, whence: str, user: str, password: str, database: str = NAME) -> str:
    """Try PostgreSQL from a machine: "in", or why not."""
    place = f"host={salted['db1'].address} user={user} password={password} dbname={database}"
    return salted.within(whence, [sys.executable, "-c", CONNECT, place]).strip()


def test_postgresql_lets_in_three_roles_with_their_passwords(salted: Salted) -> None:
    assert connect(salted, "web1", NAME, "the-value-of-DATABASE_PASSWORD") == "in"
    assert connect(salted, "web2", f"{NAME}_owner", "the-value-of-DATABASE_OWNER_PASSWORD") == "in"
    assert connect(salted, "web1", f"{NAME}_reader", "the-value-of-DATABASE_READER_PASSWORD") == "in"
    assert "password authentication failed" in connect(salted, "web1", NAME, "the-value-of-DATABASE_OWNER_PASSWORD")
    assert "no pg_hba.conf entry" in connect(salted, "web1", "postgres", "x")
    assert "no pg_hba.conf entry" in connect(salted, "web1", NAME, "the-value-of-DATABASE_PASSWORD", "postgres")
    assert "timeout" in connect(salted, "lb1", NAME, "the-value-of-DATABASE_PASSWORD")


# --- Runs.


def test_a_second_run_changes_nothing(salted: Salted) -> None:
    for name, run in salted.everywhere().items():
        assert (run.code, run.changed, run.failed) == (0, {}, {}), name


ROLES = "The database sample has its roles, each with its rights and its password"
HAPROXY = "HAProxy runs with this configuration"
# Per host: what somebody did by hand, and the states that mend it.
DRIFT: dict[str, dict[str, set[str]]] = {
    "lb1": {
        "sed -i 's/maxconn 4096/maxconn 9/' /etc/haproxy/haproxy.cfg && systemctl reload haproxy": {
            "HAProxy sends requests to the web hosts",
            HAPROXY,
        },
        "nft add rule inet sample input tcp dport 9999 accept": {"The kernel has these rules, and nobody's by hand"},
        "chmod 644 /etc/haproxy/certificate.pem": {"The certificate and its key belong together"},
        "echo 'deploy ALL=(ALL) NOPASSWD: ALL' >>/etc/sudoers.d/sample": {
            "The user deploy may call the agent as root, and nothing else"
        },
        "systemctl disable --now apt-daily-upgrade.timer": {"The timer of security updates runs"},
    },
    "web1": {
        "echo '# by hand' >>/usr/lib/systemd/system/sample@.service && systemctl daemon-reload": {
            "/usr/lib/systemd/system/sample@.service is the one that came with the agent",
        },
        "chmod 644 /etc/sample/credentials/SECRET_KEY": {"The secret SECRET_KEY is in its file"},
        "touch /etc/sample/credentials/OLD": {"No other secret is left over"},
        "echo 'ssh-ed25519 AAAA mallory' >>~deploy/.ssh/authorized_keys": {
            "The keys of deploy are exactly those of the operators"
        },
        "systemctl disable sample.service": {"sample starts at boot"},
        "chown nobody /var/lib/sample/state": {"/var/lib/sample/state belongs to sample"},
        "nft delete table inet sample": {"The kernel has these rules, and nobody's by hand"},
    },
    "db1": {
        "for database in sample_rehearsal sample; do runuser -u postgres -- psql -Xqc 'DROP OWNED BY sample_reader' "
        "$database; done; runuser -u postgres -- psql -Xqc 'DROP ROLE sample_reader'": {ROLES},
        "runuser -u postgres -- psql -Xqc \"ALTER ROLE sample PASSWORD 'guess'\"": {ROLES},
        "echo 'host all all 0.0.0.0/0 trust' >>/etc/postgresql/15/main/pg_hba.conf && systemctl reload postgresql": {
            "Only the application's servers come in, and only with a password",
            "PostgreSQL has read its files",
        },
        "systemctl stop redis-server": {"Redis runs, now and after a boot"},
        "echo 'PasswordAuthentication yes' >/etc/ssh/sshd_config.d/10-sample.conf && systemctl reload ssh": {
            "Keys open this server, passwords do not",
            "sshd asks for keys",
        },
    },
}


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_announced_then_mended_and_nothing_else(salted: Salted, name: str) -> None:
    for command in DRIFT[name]:
        salted[name].run(command)
    address = salted[name].address
    expected = {state.replace("ADDRESS", address) for states in DRIFT[name].values() for state in states}
    announced = salted.highstate(name, test=True)
    mended = salted.highstate(name)
    # What a service has to read is known once it is written.
    assert set(announced.pending) == expected - {each["__id__"] for each in mended.states if "/settle " in each["name"]}
    assert (set(mended.changed), mended.failed) == (expected, {})
    assert salted.highstate(name).changed == {}
    units = f"{NAME}.service", f"{NAME}.socket", f"{NAME}@1.service", "haproxy.service", "ssh.service"
    stale = salted[name].run(["systemctl", "show", "--value", "--property=NeedDaemonReload", *units]).stdout.split()
    assert set(stale) == {"no"}


def test_a_run_that_was_killed_before_it_acted_is_finished_by_the_next(salted: Salted) -> None:
    """The files are right; what runs has read others. Salt's `watch` would never act again."""
    lb1, web1 = salted["lb1"], salted["web1"]
    read_another = "cp -p {0} /tmp/right && echo '# another' >>{0} && {1} && cat /tmp/right >{0}"
    # HAProxy reads its file some time after `systemctl reload` has returned: then there is a new process.
    reload = "old=$(pgrep -x haproxy); systemctl reload haproxy"
    anew = 'until pgrep -x haproxy | grep -vqxF "$old" && systemctl is-active --quiet haproxy'
    lb1.run(read_another.format("/etc/haproxy/haproxy.cfg", f"{reload}; {anew}; do sleep 0.05; done"))
    assert set(salted.highstate("lb1").changed) == {HAPROXY}
    web1.run(read_another.format("/usr/lib/systemd/system/sample@.service", "systemctl daemon-reload"))
    assert set(salted.highstate("web1").changed) == {f"sample listens on {web1.address}:8000"}


def test_a_mistake_in_pillar_never_reaches_what_runs(salted: Salted) -> None:
    haproxy = salted.pillars["lb1"]["slipway"]["haproxy"]
    right = dict(haproxy)
    before = salted.ask("show info")
    haproxy["servers"] = [{"name": "web1", "address": "not an address"}]
    try:
        run = salted.highstate("lb1")
        assert set(run.failed) >= {"HAProxy sends requests to the web hosts"}
        assert "fatal" in run.failed["HAProxy sends requests to the web hosts"].lower()
    finally:
        haproxy.update(right)
    pid = re.compile(r"^Pid: (\d+)$", re.MULTILINE)
    assert pid.findall(salted.ask("show info")) == pid.findall(before)
    assert salted.highstate("lb1").changed == {}
    assert "the-value-of" not in str(run.failed)


def test_the_archive_of_the_log_is_switched_without_a_restart(salted: Salted) -> None:
    postgresql = salted.pillars["db1"]["slipway"]["postgresql"]
    archived = "runuser -u postgres -- psql -AtXqc 'SELECT archived_count > 0 FROM pg_stat_archiver'"
    postgresql["archive_command"] = "cp %p /var/lib/postgresql/%f"
    run = salted.highstate("db1")
    assert set(run.changed) == {"PostgreSQL has memory and listens to its clients", "PostgreSQL has read its files"}
    salted["db1"].run(
        "runuser -u postgres -- psql -Xqc 'CREATE TABLE t ()' -c 'DROP TABLE t' -c 'SELECT pg_switch_wal()'"
    )
    while salted["db1"].run(archived).stdout != "t\n":
        time.sleep(0.05)
    assert "/var/lib/postgresql/0000" in salted["db1"].run("ls -d /var/lib/postgresql/0*").stdout
    del postgresql["archive_command"]
    assert salted.highstate("db1").failed == {}


def test_postgresql_is_restarted_only_when_nobody_is_connected(salted: Salted) -> None:
    postgresql = salted.pillars["db1"]["slipway"]["postgresql"]
    postgresql["memory_fraction"] = 0.05
    waits, settled = "PostgreSQL has read its files", "PostgreSQL runs with these settings"
    hold = "runuser -u postgres -- psql -Xqc 'SELECT pg_sleep(600)'"
    with subprocess.Popen([*salted["db1"].enter(), "sh", "-c", hold], env=salted["db1"].environment) as client:
        try:
            count = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
            )
            while salted["db1"].run(f'runuser -u postgres -- psql -AtXqc "{count}"').stdout != "1\n":
                time.sleep(0.05)
            run = salted.highstate("db1")
            assert set(run.changed) == {"PostgreSQL has memory and listens to its clients", waits}
            comment = next(state["comment"] for state in run.states if state["__id__"] == settled)
            assert "shared_buffers take a restart, but 1 clients are there" in comment
        finally:
            client.kill()
            salted["db1"].run("runuser -u postgres -- psql -Xqc 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                              " WHERE query LIKE $$%pg_sleep(600)%$$ AND pid <> pg_backend_pid()'")  # fmt: skip
    assert set(salted.highstate("db1").changed) == {settled}
    assert salted.highstate("db1").changed == {}
