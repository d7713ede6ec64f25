# One state for the packages of all roles: one question to the package manager, and one installation on an empty server.
{%- from "map.jinja" import packages with context %}

The packages of this server are installed:
  pkg.installed:
    - pkgs: {{ packages | unique | sort | json }}
    - install_recommends: False
