# The interpreter that releases are built for. Nothing is installed into it: a release brings all else along.
{%- from "map.jinja" import site with context %}

include:
  - base.packages

Python {{ site.app.python }} is where releases look for it:
  file.exists:
    - name: /usr/bin/python{{ site.app.python }}
    - require:
      - pkg: The packages of this server are installed
