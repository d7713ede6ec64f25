# The database: cluster, settings, who may come in, roles and their passwords.
{%- from "map.jinja" import name, site, os with context %}
{%- from "base/settle.jinja" import settled %}
{%- set postgresql = site.postgresql %}
{%- set known = os.postgresql.version.get(grains["osmajorrelease"] | string, "no version that these states know") %}
{%- set version = site.postgresql.get("version", known) | string %}
{%- set folder = os.postgresql.configuration.format(version=version) %}
{%- set service = os.postgresql.service.format(version=version) ~ ".service" %}
{%- set program = "/usr/lib/" ~ name ~ "/postgresql" %}

include:
  - base.packages
  - base.settle

{%- if grains["os_family"] == "Debian" %}

New clusters check their pages and sort alike everywhere:
  file.managed:
    - name: /etc/postgresql-common/createcluster.d/{{ name }}.conf
    - contents: |
        # Written by Salt. Read when a cluster is made: the package makes the first one.
        # C.UTF-8: an upgrade of the C library changes no index.
        initdb_options = '--data-checksums --locale=C.UTF-8'
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True
    - require_in:
      - pkg: The packages of this server are installed
{%- else %}

The cluster is made:
  cmd.run:
    - name: {{ program }} make-cluster {{ folder }}
    - stateful:
      - test_name: {{ program }} make-cluster {{ folder }} --test
    - require:
      - pkg: The packages of this server are installed
      - file: The program that looks after roles is there
    - require_in:
      - file: PostgreSQL has memory and listens to its clients
      - file: Only the application's servers come in, and only with a password

PostgreSQL reads the settings of this server:
  file.append:
    - name: {{ folder }}/postgresql.conf
    - text: include_dir = 'conf.d'
    - require:
      - cmd: The cluster is made
    - require_in:
      - service: PostgreSQL runs, now and after a boot
{%- endif %}

The program that looks after roles is there:
  file.managed:
    - name: {{ program }}
    - source: salt://postgresql/files/postgresql.py
    - user: root
    - group: root
    - mode: '0755'
    - makedirs: True

The roles and their rights are written down:
  file.managed:
    - name: {{ program }}-roles.sql
    - source: salt://postgresql/files/roles.sql
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True

PostgreSQL has memory and listens to its clients:
  file.managed:
    - name: {{ folder }}/conf.d/{{ name }}.conf
    - source: salt://postgresql/files/settings.conf.jinja
    - template: jinja
    - user: postgres
    - group: postgres
    - mode: '0644'
    - makedirs: True
    - require:
      - pkg: The packages of this server are installed

Only the application's servers come in, and only with a password:
  file.managed:
    - name: {{ folder }}/pg_hba.conf
    - source: salt://postgresql/files/pg_hba.conf.jinja
    - template: jinja
    - user: postgres
    - group: postgres
    - mode: '0640'
    - require:
      - pkg: The packages of this server are installed

PostgreSQL runs, now and after a boot:
  service.running:
    - name: {{ service }}
    - enable: True
    - require:
      - file: PostgreSQL has memory and listens to its clients
      - file: Only the application's servers come in, and only with a password

PostgreSQL has read its files:
  {{- settled(name, service, reload=[folder ~ "/conf.d/" ~ name ~ ".conf", folder ~ "/pg_hba.conf"]) }}
      - service: PostgreSQL runs, now and after a boot

PostgreSQL runs with these settings:
  cmd.run:
    - name: {{ program }} settle {{ service }}
    - stateful:
      - test_name: {{ program }} settle {{ service }} --test
    - require:
      - cmd: PostgreSQL has read its files
      - file: The program that looks after roles is there

The database {{ postgresql.database }} has its roles, each with its rights and its password:
  cmd.run:
    - name: {{ program }} roles {{ postgresql.roles.app.name }} {{ postgresql.database }}
    - stateful:
      - test_name: {{ program }} roles {{ postgresql.roles.app.name }} {{ postgresql.database }} --test
    - env:
      {%- for role in postgresql.roles.values() %}
      - PASSWORD_OF_{{ role.name }}: {{ role.password | json }}
      {%- endfor %}
    - require:
      - cmd: PostgreSQL runs with these settings
      - file: The roles and their rights are written down
