"""Host after host (`pyinfra --serial`), each operation finding out by itself whether there is something to do."""

from pyinfra import host, state
from pyinfra.operations import files, pip, python, systemd

data = host.data
READY = f"curl -s -o /dev/null -w '%{{http_code}}' http://{data.ssh_hostname}:8000/readyz"


def out_of_service() -> None:
    """Have the load balancer send nothing more to this host."""
    run(state.inventory.get_host("lb1"), f"lb-drain {host.name}")


def into_service() -> None:
    """Wait until this host is ready, and have the load balancer use it."""
    run(host, f'for _ in $(seq 300); do [ "$({READY})" != 200 ] || exit 0; sleep 0.05; done; exit 1')
    run(state.inventory.get_host("lb1"), f"lb-restore {host.name}")


def run(where, command: str) -> None:
    """Run a command that has to succeed."""
    done, output = where.run_shell_command(command)
    if not done:
        raise RuntimeError(f"{where.name}: {command}: {output.stderr}")


if "web" in host.groups:
    python.call(name="Out of service", function=out_of_service)
    variables = files.put(name="Variables", src=data.env_file, dest="/opt/peer/env", mode="600")
    if data.form == "wheel":
        files.sync(name="Wheels", src=data.wheels, dest="/opt/peer/wheels", delete=True)
        pip.venv(name="Virtual environment", path=data.release, python="/usr/bin/python3.11")
        pip.packages(
            name="Packages",
            packages=[f"tiny=={data.version}"],
            virtualenv=data.release,
            extra_install_args="--no-index --find-links /opt/peer/wheels --disable-pip-version-check",
        )
    else:
        flags = ["-a", "--checksum", "--delete", "--mkpath", "--link-dest=/opt/peer/current/"]
        files.rsync(name="Tree", src=f"{data.tree}/", dest=f"{data.release}/", flags=flags)
    current = files.link(name="Current", path="/opt/peer/current", target=data.release, force=True, force_backup=False)
    changed = current.will_change or variables.will_change
    systemd.service(name="Service", service="peer", running=True, restarted=changed)
    python.call(name="Into service", function=into_service)
