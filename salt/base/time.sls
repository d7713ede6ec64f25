# Clocks that agree: leases, logs and certificates need it. A container has its host's clock and may not set it: there
# systemd does not start the service (ConditionVirtualization).
{%- from "map.jinja" import os with context %}

The clock is kept by the network:
  {%- if grains.get("virtual") in ("container", "systemd-nspawn", "LXC", "docker", "podman") %}
  service.enabled:
    - name: {{ os.time.service }}
  {%- else %}
  service.running:
    - name: {{ os.time.service }}
    - enable: True
  {%- endif %}
    - require:
      - pkg: The packages of this server are installed
