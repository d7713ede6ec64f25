# The Docker engine, where releases come as images. Settings that are there already stay.
{%- from "map.jinja" import name, site, features with context %}
{%- from "base/settle.jinja" import settled %}
{%- if site.app.artifact == "image" and features.docker %}

include:
  - base.packages
  - base.settle

Containers live on while the engine restarts:
  file.serialize:
    - name: /etc/docker/daemon.json
    - dataset: {live-restore: true}
    - serializer: json
    - merge_if_exists: True
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True
    # The engine starts as soon as it is installed.
    - require_in:
      - pkg: The packages of this server are installed

The engine runs, now and after a boot:
  service.running:
    - name: docker.service
    - enable: True
    - require:
      - pkg: The packages of this server are installed

The engine has read its settings:
  {{- settled(name, "docker.service", reload=["/etc/docker/daemon.json"]) }}
      - service: The engine runs, now and after a boot

{%- endif %}
