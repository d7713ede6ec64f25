# The program behind base/settle.jinja.
{%- from "map.jinja" import name with context %}

The program that lets services read their files is there:
  file.managed:
    - name: /usr/lib/{{ name }}/settle
    - source: salt://base/files/settle.py
    - user: root
    - group: root
    - mode: '0755'
    - makedirs: True
