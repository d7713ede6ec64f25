# The journal is kept over reboots, and can't fill the disk. Pillar: journald.size
{%- from "map.jinja" import name, site with context %}
{%- from "base/settle.jinja" import settled %}

The journal has its limits:
  file.managed:
    - name: /etc/systemd/journald.conf.d/{{ name }}.conf
    - contents: |
        # Written by Salt.
        [Journal]
        Storage=persistent
        SystemMaxUse={{ site.get("journald", {}).get("size", "1G") }}
        SystemKeepFree=1G
        MaxRetentionSec=3month
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True

The journal keeps to its limits:
  {{- settled(name, "systemd-journald.service", restart=["/etc/systemd/journald.conf.d/" ~ name ~ ".conf"]) }}
      - file: The journal has its limits
