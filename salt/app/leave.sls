# A server that is told to reboot or to go off leaves in order: it refuses new connections, which load balancers take as
# a word to ask another server, before the application is told to finish. Needs nftables, so it comes with the firewall.
{%- from "map.jinja" import name, site, features with context %}
{%- if features.firewall and "web" in site.roles %}

What is refused when this server leaves is written down:
  file.managed:
    - name: /etc/{{ name }}/leave.nft
    - source: salt://app/files/leave.nft.jinja
    - template: jinja
    - context:
        name: {{ name }}
        listen: {{ site.app.listen | json }}
    - user: root
    - group: root
    - mode: '0644'
    - check_cmd: /usr/sbin/nft -c -f
    - require:
      - pkg: The packages of this server are installed
      - file: The directory of variables and secrets is there

The program that leaves in order is there:
  file.managed:
    - name: /usr/lib/{{ name }}/leave
    - source: salt://app/files/leave.sh.jinja
    - template: jinja
    - context:
        name: {{ name }}
        listen: {{ site.app.listen | json }}
    - user: root
    - group: root
    - mode: '0755'

The unit that leaves in order is there:
  file.managed:
    - name: /etc/systemd/system/{{ name }}-leave.service
    - source: salt://app/files/leave.service.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0644'

{%- for template in (name, name ~ "-image") %}

Generations of {{ template }} end after this server has left:
  file.managed:
    - name: /etc/systemd/system/{{ template }}@.service.d/leave.conf
    - contents: |
        # Written by Salt. What starts before another ends after it (systemd.unit(5)).
        [Unit]
        Before={{ name }}-leave.service
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True
    - require_in:
      - service: This server leaves in order
{%- endfor %}

This server leaves in order:
  service.running:
    - name: {{ name }}-leave.service
    - enable: True
    - require:
      - file: What is refused when this server leaves is written down
      - file: The program that leaves in order is there
      - file: The unit that leaves in order is there

{%- endif %}
