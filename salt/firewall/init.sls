# What roles need is open, everything else is closed, and who calls is told nothing. The table is this project's own:
# tables of others (Docker's, say) stay as they are.
{%- from "map.jinja" import name, features with context %}
{%- if features.firewall %}

include:
  - base.packages

{%- if grains["os_family"] == "RedHat" %}

The firewall of the distribution does not close what this one opens:
  service.dead:
    - name: firewalld
    - enable: False
{%- endif %}

What roles need is open, everything else is closed:
  file.managed:
    - name: /etc/{{ name }}/firewall.nft
    - source: salt://firewall/files/firewall.nft.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0640'
    - makedirs: True
    - dir_mode: '0755'
    - check_cmd: /usr/sbin/nft -c -f
    - require:
      - pkg: The packages of this server are installed

The program that loads the firewall is there:
  file.managed:
    - name: /usr/lib/{{ name }}/firewall
    - source: salt://firewall/files/firewall.sh.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0755'
    - makedirs: True

The unit of the firewall is there:
  file.managed:
    - name: /etc/systemd/system/{{ name }}-firewall.service
    - source: salt://firewall/files/firewall.service.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0644'

The firewall is up, now and after a boot:
  service.running:
    - name: {{ name }}-firewall.service
    - enable: True
    - require:
      - file: What roles need is open, everything else is closed
      - file: The program that loads the firewall is there
      - file: The unit of the firewall is there
      {%- if grains["os_family"] == "RedHat" %}
      - service: The firewall of the distribution does not close what this one opens
      {%- endif %}

The kernel has these rules, and nobody's by hand:
  cmd.run:
    - name: /usr/lib/{{ name }}/firewall mend
    - stateful:
      - test_name: /usr/lib/{{ name }}/firewall check
    - require:
      - service: The firewall is up, now and after a boot

{%- endif %}
