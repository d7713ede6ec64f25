# The server is a database no more. The data stays: dropping a cluster is nothing to do by the way.
{%- from "map.jinja" import name, site, os with context %}
{%- set known = os.postgresql.version.get(grains["osmajorrelease"] | string, "no version that these states know") %}
{%- set version = site.postgresql.get("version", known) | string %}

PostgreSQL is stopped, now and after a boot:
  service.dead:
    - name: {{ os.postgresql.service.format(version=version) }}.service
    - enable: False

The settings of this server are gone:
  file.absent:
    - names:
      - {{ os.postgresql.configuration.format(version=version) }}/conf.d/{{ name }}.conf
      - /usr/lib/{{ name }}/postgresql
      - /usr/lib/{{ name }}/postgresql-roles.sql
    - require:
      - service: PostgreSQL is stopped, now and after a boot
