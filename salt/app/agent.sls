# The one program that operators call, on every server, and the directories it keeps its memory in.
{%- from "map.jinja" import name with context %}

The agent is installed:
  file.managed:
    - name: /usr/lib/{{ name }}/releasectl
    - source: salt://artifacts/releasectl
    - user: root
    - group: root
    - mode: '0755'
    - makedirs: True

The ledger and the lease have a place:
  file.directory:
    - name: /var/lib/{{ name }}
    - user: root
    - group: root
    - mode: '0755'
