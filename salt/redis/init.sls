# Redis for jobs: a password, kept on disk, and nothing thrown away when memory is short.
{%- from "map.jinja" import name, os, features with context %}
{%- from "base/settle.jinja" import settled %}
{%- if features.redis %}

include:
  - base.packages
  - base.settle

Redis keeps jobs and asks for a password:
  file.managed:
    - name: {{ os.redis.configuration }}
    - source: salt://redis/files/redis.conf.jinja
    - template: jinja
    - user: redis
    - group: redis
    - mode: '0600'
    - show_changes: False
    - require:
      - pkg: The packages of this server are installed

Redis runs, now and after a boot:
  service.running:
    - name: {{ os.redis.service }}.service
    - enable: True
    - require:
      - file: Redis keeps jobs and asks for a password

Redis runs with this configuration:
  {{- settled(name, os.redis.service ~ ".service", restart=[os.redis.configuration]) }}
      - service: Redis runs, now and after a boot

{%- endif %}
