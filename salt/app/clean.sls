# The server runs releases no more. What the agent made stays: releases, generations, ledger; /opt and /var/lib.
{%- from "map.jinja" import name with context %}
{%- import_json "artifacts/files.json" as files %}

{{ name }} is stopped, now and after a boot:
  service.dead:
    - name: {{ name }}.service
    - enable: False

The server leaves no more in order:
  service.dead:
    - name: {{ name }}-leave.service
    - enable: False
    - require:
      - service: {{ name }} is stopped, now and after a boot

What told {{ name }} its variables, secrets, address and peers is gone:
  file.absent:
    - names:
      - /etc/{{ name }}/{{ name }}.env
      - /etc/{{ name }}/credentials
      - /etc/{{ name }}/allowed_signers
      - /etc/systemd/system/{{ name }}.socket.d
      - /etc/systemd/system/{{ name }}@.service.d
      - /etc/systemd/system/{{ name }}-worker@.service.d
      - /etc/systemd/system/{{ name }}-scheduler@.service.d
      - /etc/systemd/system/{{ name }}-image@.service.d
      - /etc/systemd/system/{{ name }}-leave.service
      - /etc/{{ name }}/leave.nft
      - /usr/lib/{{ name }}/leave
    - require:
      - service: The server leaves no more in order

The units of {{ name }} are gone:
  file.absent:
    - names:
      {%- for place in files | sort if not place.startswith("/etc/") %}
      - {{ place }}
      {%- endfor %}
    - require:
      - service: {{ name }} is stopped, now and after a boot
