# The server is a load balancer no more. The package stays, and so does what was known of the web hosts' states.
{%- from "map.jinja" import name with context %}

HAProxy is stopped, now and after a boot:
  service.dead:
    - name: haproxy.service
    - enable: False

The configuration and the certificate of HAProxy are gone:
  file.absent:
    - names:
      - /etc/haproxy/haproxy.cfg
      - /etc/haproxy/operators.cfg
      - /etc/haproxy/certificate.pem
      - /etc/haproxy/errors
      - /etc/systemd/system/haproxy.service.d/{{ name }}.conf
      - /usr/lib/{{ name }}/haproxy-keep-state
    - require:
      - service: HAProxy is stopped, now and after a boot
