"""The hosts, as the bench has them."""

import json
import os
from pathlib import Path

_given = json.loads(Path(os.environ["BENCH_INVENTORY"]).read_text())
_all = {
    "ssh_user": "root",
    "ssh_key": _given["identity"],
    "ssh_known_hosts_file": _given["known_hosts"],
    "ssh_config_file": _given["config"],
    "ssh_strict_host_key_checking": "yes",
}
web = [(name, {**_all, "ssh_hostname": address}) for name, address in _given["web"].items()]
lb = [("lb1", {**_all, "ssh_hostname": _given["lb"]})]
