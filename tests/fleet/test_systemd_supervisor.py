"""The agent on a real machine: systemd keeps socket and processes, and loses neither."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.agent import kit
from tests.deploy.agent.kit import AgentFailure, Release, eventually, outcome, settled, steady
from tests.support.machine import NAME, Server, load


def test_a_generation_goes_from_files_to_serving(server: Server, real_release: Release) -> None:
    """Stage, prepare, try, migrate, activate: it serves, and a second activation has nothing to do."""
    server.prepare(1, real_release, COLOUR="blue")
    assert server("trial", generation=1, check="live", deadline=15)["status"] == 200
    assert server("migrate", generation=1, command="migrate", timeout=15)["output"] == "migrated 1\n"
    first = server.activate(1)
    assert (first["changed"], first["previous"]) == (True, None)
    assert server.get()[1]["generation"] == "1"
    status = settled(server)
    assert (status["current"], status["listening"]) == (1, server.listen)
    [process] = status["processes"]
    assert (process["generation"], process["ready"], process["workers"]) == (1, True, 2)
    assert process["listen"] == server.listen
    assert abs(process["since"] - time.time()) < 120
    assert server.activate(1)["changed"] is False
    assert steady(server("status"))["processes"] == [process]
    assert server.show(f"{NAME}@1.service", "ActiveState") == "active"
    assert eventually(lambda: server.show(f"{NAME}.service", "ActiveState") == "active")
    assert server.machine.run("systemctl is-system-running").stdout == "running\n"


def test_switching_under_load_loses_nothing(server: Server, real_release: Release) -> None:
    """16 clients with kept connections, GET and POST, straight at the host: none fails from A to B and back."""
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    server.activate(1)
    clients = load(server.listen, 16)
    assert server.activate(2)["previous"] == 1
    assert server("rollback", to=None, deadline=15, listen=server.listen)["generation"] == 1
    counted = outcome(clients)
    assert counted["failures"] == []
    assert min(counted["generation 1"], counted["generation 2"]) > 10
    assert [process["generation"] for process in server("status")["processes"]] == [1]


LOOK = """
import json, os, pathlib
folder = pathlib.Path(os.environ["PASSWORD_FILE"])
print(json.dumps({
    "url": os.environ["URL"], "password": folder.read_text(), "uid": os.getuid(), "kept": os.environ["COLOUR"],
    "files": sorted(path.name for path in folder.parent.iterdir()),
}))
"""


def test_a_migration_gets_the_owners_password_and_nobody_else_does(server: Server, real_release: Release) -> None:
    """As the service's user, in a unit of its own; afterwards no file of the machine has it."""
    contract = {**kit.CONTRACT, "commands": {"migrate": ["-c", LOOK]}}
    server.prepare(1, real_release.variant("3.0", contract=contract), URL="app@db", COLOUR="blue")
    request = {"generation": 1, "variables": {"URL": "owner@db"}, "secrets": {"PASSWORD": "sesame-0815"}}
    said = json.loads(server("migrate", timeout=15, ledger={"rollout": "r1"}, **request)["output"])
    assert said.pop("uid") == int(server.machine.run(f"id -u {NAME}").stdout)
    assert said == {
        "url": "owner@db", "password": "sesame-0815", "kept": "blue",
        "files": ["meta.json", "overlay.json", f"{NAME}-once_PASSWORD", f"{NAME}_SECRET_KEY"],
    }  # fmt: skip
    assert server.machine.run(f"stat -c '%a %U' /run/{NAME}-agent").stdout == "700 root\n"
    places = "/run /opt /var/lib /var/log /tmp /etc /var/tmp"
    assert server.machine.run(f"grep -rls sesame-0815 {places} || true").stdout == ""
    assert server.machine.run("journalctl --no-pager | grep -c sesame-0815 || true").stdout == "0\n"
    assert server.machine.run("systemctl --failed --no-legend").stdout == ""


def test_what_a_killed_agent_left_of_a_password_is_swept_away(server: Server, real_release: Release) -> None:
    contract = {**kit.CONTRACT, "commands": {"migrate": ["-c", "import time; print('up', flush=True); time.sleep(60)"]}}
    server.prepare(1, real_release.variant("3.0", contract=contract))
    request = {"verb": "migrate", "generation": 1, "secrets": {"PASSWORD": "sesame-0815"}}
    agent = subprocess.Popen(server.argv("migrate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(json.dumps(request).encode() + b"\n")
    agent.stdin.flush()
    assert b"up" in agent.stdout.readline()
    (left,) = server.machine.run(f"grep -rls sesame-0815 /run/{NAME}-agent").stdout.splitlines()
    for child in children(agent.pid):
        os.kill(child, signal.SIGKILL)
    agent.communicate(timeout=10)
    server.machine.run(f"systemctl stop '{NAME}-run-*.service'")
    server("prune", keep=3)
    assert server.machine.run(f"test -e {left} || echo gone").stdout == "gone\n"


BROKEN = {
    "raises at import": ("raise", "died", "this release can't be imported", 10),
    "hangs at import": ("hang", "timeout", "did not answer", 1.2),
    "is never ready": ("unready", "not-ready", "the database is away", 4),
}


def test_a_broken_generation_never_replaces(server: Server, real_release: Release) -> None:
    """It is stopped again, the old one serves on, and the error says what the app said."""
    server.prepare(1, real_release)
    server.activate(1)
    before = settled(server)
    keys = "current", "processes", "listening"
    for number, (behaviour, code, words, deadline) in enumerate(BROKEN.values(), 2):
        server.prepare(number, real_release, BEHAVIOUR=behaviour)
        for verb, arguments in (("trial", {"check": "ready"}), ("activate", {"listen": server.listen})):
            if verb == "trial" and code == "timeout":
                continue  # it waits the same way
            with pytest.raises(AgentFailure) as caught:
                server(verb, generation=number, deadline=deadline, **arguments)
            assert caught.value.code == code, caught.value
            assert words in json.dumps(caught.value.error)
            after = steady(server("status"))
            assert [after[key] for key in keys] == [before[key] for key in keys]
            assert server.show(f"{NAME}@{number}.service", "ActiveState") == "inactive"
    assert server.get()[1]["generation"] == "1"
    assert server.machine.run("systemctl --failed --no-legend").stdout == ""


def test_a_first_generation_that_fails_leaves_no_socket(server: Server, real_release: Release) -> None:
    """All is as before: nothing listens."""
    server("stop", generation=None, timeout=None)
    server.prepare(1, real_release, BEHAVIOUR="raise")
    with pytest.raises(AgentFailure):
        server.activate(1)
    status = server("status")
    assert (status["current"], status["processes"], status["listening"]) == (None, [], None)
    with pytest.raises(ConnectionRefusedError):
        server.get()


def test_a_killed_agent_is_made_up_for_by_the_next(server: Server, real_release: Release) -> None:
    """kill -9 at moments all over an activation, under load: the same call again converges, and nobody noticed."""
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    server.activate(1)
    clients = load(server.listen, 8)
    for turn, seconds in enumerate((0.1, 0.2, 0.3, 0.45, 0.6, 0.8)):
        number = 2 - turn % 2
        request = {"verb": "activate", "generation": number, "deadline": 15, "listen": server.listen}
        agent = subprocess.Popen(server.argv("activate"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert agent.stdin is not None
        agent.stdin.write(json.dumps(request).encode() + b"\n")
        agent.stdin.flush()
        time.sleep(seconds)
        for child in children(agent.pid):
            os.kill(child, signal.SIGKILL)
        agent.communicate(timeout=10)
        server.activate(number)
        status = server("status")
        assert status["current"] == number
        assert [process["generation"] for process in status["processes"]] == [number]
    assert outcome(clients)["failures"] == []


def children(pid: int) -> list[int]:
    """List the children of a process: nsenter's is the agent itself."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("way", ["shut_down", "power_off"])
def test_a_reboot_brings_the_current_generation_back(server: Server, real_release: Release, way: str) -> None:
    """By itself, whether the machine was shut down or lost its power; and only that one."""
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    server.activate(1)
    server.activate(2)
    getattr(server.machine, way)()
    server.machine.boot()
    [process] = eventually(lambda: [p for p in server("status")["processes"] if p["ready"]], 10)
    assert process["generation"] == 2
    assert server.get()[1]["generation"] == "2"
    assert server.activate(2)["changed"] is False


def test_an_empty_server_boots_quietly(server: Server) -> None:
    """Nothing is current: nothing is started, and that is no failure."""
    state = server.machine.run("systemctl is-active sample.service; systemctl is-system-running").stdout.split()
    assert state == ["active", "running"]
    assert server("status")["processes"] == []


def test_the_environment_of_a_process(serving: Server) -> None:
    """Exactly the generation's variables and those of the protocol; secrets are files; systemd's own stay out."""
    said = serving.get("/environ")[1]
    release = f"/opt/{NAME}/releases/1.0"
    assert (said["prefix"], said["cwd"]) == (release, f"/var/lib/{NAME}/state")
    secret = said["environ"].pop("SECRET_KEY_FILE")
    assert secret.startswith("/run/credentials/")
    assert said["environ"].pop("NOTIFY_SOCKET")
    assert said["environ"].pop("PATH").startswith(f"{release}/bin:")
    assert said["environ"] == {
        "COLOUR": 'red "and" $green %i', "LINES": "one\ntwo", "RELEASE_VERSION": "1.0", "RELEASE_GENERATION": "1",
        "HOME": f"/var/lib/{NAME}/state", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
        "SERVER_SOFTWARE": said["environ"].get("SERVER_SOFTWARE"),
    }  # fmt: skip
    assert serving.machine.run(f"stat -c %a:%U {secret}").stdout == f"400:{NAME}\n"


def test_a_secret_is_in_a_file_for_the_service_and_nowhere_else(serving: Server) -> None:
    """Not in a unit's properties, a process's environment or arguments, the journal, or a file that others can read."""
    serving("migrate", generation=1, command="migrate", timeout=15)
    look = serving.machine.run
    assert look("grep -l sesame-4711 $(find /run/credentials -name sample_SECRET_KEY)").stdout.count("\n") == 1
    assert "sesame" not in look(f"systemctl show {NAME}@1.service {NAME}.socket {NAME}.service").stdout
    assert look("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | grep -c [s]esame", check=False).stdout == "0\n"
    assert "sesame" not in look("journalctl --no-pager -o export").stdout
    readable = f"setpriv --reuid=nobody --regid=nogroup --clear-groups grep -rs sesame /opt/{NAME} /run /var/lib/{NAME}"
    assert look(readable, check=False).stdout == ""


def test_commands_run_as_the_service_in_its_sandbox(serving: Server) -> None:
    """Same user, variables, directory and limits as gunicorn; output and exit status come through."""
    code = (
        "import os, pwd, sys; print(pwd.getpwuid(os.getuid()).pw_name, os.getcwd(), os.environ['RELEASE_VERSION'], "
        "open(os.environ['SECRET_KEY_FILE']).read(), 'Seccomp:\\t2' in open('/proc/self/status').read()); "
        "print('to stderr', file=sys.stderr); sys.exit(7)"
    )
    assert serving("run", argv=["-c", code], generation=1, timeout=15) == {"returncode": 7}
    said = {"stdout": "", "stderr": ""}
    for event in serving.events:
        said[event["stream"]] += event["text"]
    assert said == {"stdout": f"{NAME} /var/lib/{NAME}/state 1.0 sesame-4711 True\n", "stderr": "to stderr\n"}


def test_a_command_that_overruns_leaves_nothing(serving: Server) -> None:
    """It is stopped with everything it started, although it is no child of the agent."""
    code = "import subprocess; subprocess.run(['sleep', '4711'])"
    with pytest.raises(AgentFailure) as caught:
        serving("run", argv=["-c", code], generation=1, timeout=1)
    assert caught.value.code == "timeout"
    assert serving.machine.run(["pgrep", "-f", "sleep 4711"], check=False).stdout == ""
    assert serving.machine.run(f"systemctl list-units --all --no-legend '{NAME}-run-*'").stdout == ""


def test_logs_come_from_the_journal(serving: Server) -> None:
    """The last lines, and with `follow` those to come, of the generation alone."""
    assert serving("logs", lines=3, generation=1)["lines"] == 3
    lines = [event["text"] for event in serving.events if event["event"] == "line"]
    assert any("gunicorn" in line.lower() or "Booting worker" in line for line in lines), lines
    assert not any("Started" in line and ".service" in line for line in lines)


def test_what_dies_is_started_again_and_the_socket_stays(serving: Server) -> None:
    """systemd's own limit of five starts in ten seconds would take the socket along."""
    unit = f"{NAME}@1.service"
    serving.machine.run(f"systemctl kill --signal=KILL {unit}")
    assert eventually(lambda: serving.show(unit, "NRestarts") == "1", 15)
    for _ in range(7):
        serving.machine.run(f"systemctl restart {unit}")
    assert serving("status")["listening"] == serving.listen
    assert serving.get()[1]["generation"] == "1"
    assert serving.activate(1)["changed"] is False


def test_stop_closes_the_socket_and_start_brings_it_back(server: Server, real_release: Release) -> None:
    server.prepare(1, real_release)
    server.activate(1)
    stopped = server("stop", generation=None, timeout=None)
    assert (stopped["stopped"], stopped["changed"]) == ([1], True)
    with pytest.raises(ConnectionRefusedError):
        server.get()
    assert server("stop", generation=None, timeout=None)["changed"] is False
    assert server("start", deadline=15, listen=server.listen)["generation"] == 1
    assert server.get()[0] == 200


def test_the_socket_moves_only_when_nothing_runs(server: Server, real_release: Release) -> None:
    """And an address that somebody else has is refused, with the name of who has it."""
    server.prepare(1, real_release)
    server.activate(1)
    elsewhere = f"{server.machine.address}:8001"
    with pytest.raises(AgentFailure) as caught:
        server("activate", generation=1, deadline=15, listen=elsewhere)
    assert caught.value.code == "wrong-listen"
    assert server.get()[0] == 200
    server("stop", generation=None, timeout=None)
    server("start", deadline=15, listen=elsewhere)
    assert kit.get(8001, "/", server.machine.address)[0] == 200
    server("stop", generation=None, timeout=None)
    with pytest.raises(AgentFailure) as caught:
        server("start", deadline=15, listen=f"{server.machine.address}:22")
    assert caught.value.code == "port-in-use"
    assert "sshd" in str(caught.value.error["got"])


def test_a_socket_that_was_lost_is_reported(server: Server, real_release: Release) -> None:
    server.prepare(1, real_release)
    server.prepare(2, real_release.variant("2.0"))
    server.activate(1)
    server.machine.run(f"systemctl stop --job-mode=ignore-dependencies {NAME}.socket")
    with pytest.raises(AgentFailure) as caught:
        server.activate(2)
    assert caught.value.code == "listener-lost"
    assert server.get()[0] == 200, "generation 1 has the socket still"
    server("stop", generation=None, timeout=None)
    assert server.activate(2)["changed"] is True
    assert server.get()[1]["generation"] == "2"


def test_the_unit_is_confined(serving: Server) -> None:
    """gunicorn's documented unit scores 9.2; this one has to stay below 2."""
    said = serving.machine.run(f"systemd-analyze security --no-pager --threshold=20 {NAME}@1.service", check=False)
    assert said.returncode == 0, said.stdout.splitlines()[-1]


# What the application must not be able to do: each is tried as its user, in the sandbox of the service and
# outside of it, since a drop-in may loosen that.
FORBIDDEN = """
import os, subprocess
def run(*words):
    subprocess.run(words, check=True, capture_output=True)
def write(path):
    with open(path, "a"): pass
def replace(path):
    os.rename(path, path + ".gone")
tried = {
    "read another's secrets": lambda: open("/etc/other/credentials/KEY").read(),
    "list another's secrets": lambda: os.listdir("/etc/other/credentials"),
    "read its own as they lie on disk": lambda: os.listdir("/opt/sample/generations/1/credentials"),
    "read its variables as they lie on disk": lambda: open("/opt/sample/generations/1/env").read(),
    "read another's state": lambda: os.listdir("/var/lib/other/state"),
    "write its code": lambda: write("/opt/sample/releases/1.0/manifest.json"),
    "add code": lambda: write("/opt/sample/releases/1.0/lib/evil.py"),
    "replace its release": lambda: replace("/opt/sample/releases/1.0"),
    "point current elsewhere": lambda: replace("/opt/sample/current"),
    "change the store": lambda: write("/opt/sample/store/evil"),
    "change the agent": lambda: write("/usr/lib/sample/releasectl"),
    "change its units": lambda: write("/etc/systemd/system/evil.service"),
    "change the ledger": lambda: write("/var/lib/sample/ledger.jsonl"),
    "hold the agent up": lambda: write("/var/lib/sample/lock"),
    "write a crontab": lambda: write("/etc/cron.d/evil"),
    "read shadow": lambda: open("/etc/shadow").read(),
    "become root": lambda: os.setuid(0),
    "become root by sudo": lambda: run("sudo", "-n", "true"),
    "become root by the agent": lambda: run(*"sudo -n /usr/lib/sample/releasectl --name sample session".split()),
    "have systemd start something": lambda: run("systemd-run", "--no-ask-password", "true"),
    "stop a unit": lambda: run("systemctl", "--no-ask-password", "stop", "ssh"),
    "kill init": lambda: os.kill(1, 0),
    "mount": lambda: run("mount", "-t", "tmpfs", "x", "/mnt"),
    "make a device": lambda: os.mknod("/var/lib/sample/state/sda", 0o60600, os.makedev(8, 0)),
}
for name, act in tried.items():
    try:
        act()
    except (OSError, subprocess.CalledProcessError):
        continue
    print(name)
print("ended")
"""


def test_the_application_s_user_gets_no_further_than_its_own_state(serving: Server) -> None:
    machine = serving.machine
    machine.run(
        "install -d -m 755 /etc/other && install -d -m 700 /etc/other/credentials /var/lib/other /var/lib/other/state"
        " && install -m 600 /dev/null /etc/other/credentials/KEY"
    )
    serving("run", argv=["-c", FORBIDDEN], generation=1, timeout=30)
    assert "".join(event["text"] for event in serving.events if event["event"] == "output") == "ended\n"
    user = ["setpriv", f"--reuid={NAME}", f"--regid={NAME}", "--clear-groups"]
    done = machine.run([*user, "python3", "-c", FORBIDDEN])
    assert done.stdout == "ended\n"


def test_an_old_generation_can_be_pruned(server: Server, real_release: Release) -> None:
    for number in (1, 2, 3):
        server.prepare(number, real_release.variant(f"{number}.0"))
        server.activate(number)
    assert server("prune", keep=1)["generations"] == [1, 2]
    assert server.get()[1]["generation"] == "3"
