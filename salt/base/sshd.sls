# Keys open this server, passwords don't. A file that sshd would not take is refused.
{%- from "map.jinja" import name, os with context %}
{%- from "base/settle.jinja" import settled %}

Keys open this server, passwords do not:
  file.managed:
    - name: /etc/ssh/sshd_config.d/10-{{ name }}.conf
    - source: salt://base/files/sshd.conf
    - user: root
    - group: root
    - mode: '0600'
    - check_cmd: /usr/sbin/sshd -t -f
    - require:
      - pkg: The packages of this server are installed

sshd lets people in:
  service.running:
    - name: {{ os.sshd.service }}
    - enable: True
    - require:
      - pkg: The packages of this server are installed

sshd asks for keys:
  {{- settled(name, os.sshd.service ~ ".service", reload=["/etc/ssh/sshd_config.d/10-" ~ name ~ ".conf"]) }}
      - file: Keys open this server, passwords do not
      - service: sshd lets people in
