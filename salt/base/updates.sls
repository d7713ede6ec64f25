# Security updates install themselves at night; nothing reboots. Packages in pillar updates.hold are left to people.
{%- from "map.jinja" import name, site, os with context %}
{%- set hold = site.get("updates", {}).get("hold", []) %}

{%- if grains["os_family"] == "Debian" %}

Security updates install themselves:
  file.managed:
    - name: /etc/apt/apt.conf.d/52{{ name }}
    - source: salt://base/files/apt.conf.jinja
    - template: jinja
    - context:
        hold: {{ hold | json }}
    - user: root
    - group: root
    - mode: '0644'
    - check_cmd: /usr/bin/apt-config dump -c
    - require:
      - pkg: The packages of this server are installed
{%- else %}

Security updates install themselves:
  file.managed:
    - name: /etc/dnf/automatic.conf
    - source: salt://base/files/automatic.conf.jinja
    - template: jinja
    - context:
        hold: {{ hold | json }}
    - user: root
    - group: root
    - mode: '0644'
    - require:
      - pkg: The packages of this server are installed
{%- endif %}

The timer of security updates runs:
  service.running:
    - name: {{ os.updates.service }}
    - enable: True
    - require:
      - file: Security updates install themselves
