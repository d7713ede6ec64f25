# The Docker engine, where releases come as images.
{%- from "map.jinja" import site, features with context %}
{%- if site.app.artifact == "image" and features.docker %}

include:
  - base.packages

The engine runs, now and after a boot:
  service.running:
    - name: docker.service
    - enable: True
    - require:
      - pkg: The packages of this server are installed

{%- endif %}
