"""Deploy the application: the release on all hosts side by side, then host after host out of service, over, back."""

from pyinfra import host, state
from pyinfra.facts.server import Command
from pyinfra.operations import files, pip, python, systemd

data = host.data
READY = f"curl -s -o /dev/null -w '%{{http_code}}' http://{data.ssh_hostname}:8000/readyz"


def over() -> None:
    """Change one host over; the others wait."""
    balancer = state.inventory.get_host("lb1")
    run(balancer, f"lb-drain {host.name}")
    files.link(path="/opt/peer/current", target=data.release, force=True, force_backup=False)
    systemd.service(service="peer", running=True, restarted=True)
    run(host, f'for _ in $(seq 300); do [ "$({READY})" != 200 ] || exit 0; sleep 0.05; done; exit 1')
    run(balancer, f"lb-restore {host.name}")


def run(where, command: str) -> None:
    """Run a command that has to succeed."""
    done, output = where.run_shell_command(command)
    if not done:
        raise RuntimeError(f"{where.name}: {command}: {output.stderr}")


if "web" in host.groups:
    # One question says whether the host has to change over.
    runs = host.get_fact(Command, f"echo $(readlink /opt/peer/current) $(systemctl is-active peer) $({READY})")
    outdated = runs != f"{data.release} active 200"
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
    elif outdated:
        flags = ["-a", "--checksum", "--delete", "--mkpath", "--link-dest=/opt/peer/current/"]
        files.rsync(name="Tree", src=f"{data.tree}/", dest=f"{data.release}/", flags=flags)
    if outdated or variables.will_change:
        python.call(name="Change over", function=over, _serial=True)
