# Every port is open again, as far as this firewall closed it.
{%- from "map.jinja" import name with context %}

The firewall is down, now and after a boot:
  service.dead:
    - name: {{ name }}-firewall.service
    - enable: False

The rules of the firewall are gone:
  file.absent:
    - names:
      - /etc/{{ name }}/firewall.nft
      - /etc/systemd/system/{{ name }}-firewall.service
      - /usr/lib/{{ name }}/firewall
    - require:
      - service: The firewall is down, now and after a boot
