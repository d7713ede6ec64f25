# The server keeps jobs no more. Jobs that it has stay on its disk.
{%- from "map.jinja" import os with context %}

Redis is stopped, now and after a boot:
  service.dead:
    - name: {{ os.redis.service }}.service
    - enable: False
