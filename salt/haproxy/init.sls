# The load balancer. A file that HAProxy would not take is refused before it replaces the one that runs; a change is a
# reload, which loses no request and forgets no drained server.
{%- from "map.jinja" import name, site with context %}
{%- from "base/settle.jinja" import settled %}
{%- set haproxy = site.haproxy %}
{%- set tls = haproxy.get("tls") %}

include:
  - base.packages
  - base.settle

The program that keeps drained servers drained is there:
  file.managed:
    - name: /usr/lib/{{ name }}/haproxy-keep-state
    - source: salt://haproxy/files/keep_state.py
    - user: root
    - group: root
    - mode: '0755'
    - makedirs: True

The pages for when nobody can serve are there:
  file.recurse:
    - name: /etc/haproxy/errors
    - source: salt://haproxy/files/errors
    - user: root
    - group: root
    - dir_mode: '0755'
    - file_mode: '0644'
    - clean: True
    - require:
      - pkg: The packages of this server are installed

Who may look at the statistics:
  file.managed:
    - name: /etc/haproxy/operators.cfg
    - source: salt://haproxy/files/operators.cfg.jinja
    - template: jinja
    - user: root
    - group: root
    - mode: '0600'
    - show_changes: False
    - require:
      - pkg: The packages of this server are installed

The switch of the maintenance page is there:
  file.managed:
    - name: /var/lib/haproxy/maintenance
    - user: root
    - group: root
    - mode: '0644'
    - replace: False
    - require:
      - pkg: The packages of this server are installed

{%- if tls %}

The certificate and its key belong together:
  file.managed:
    - name: /etc/haproxy/certificate.pem
    - contents_pillar: slipway:haproxy:tls:certificate
    - user: root
    - group: root
    - mode: '0600'
    - show_changes: False
    - check_cmd: /usr/bin/python3 -c 'import ssl, sys; ssl.create_default_context().load_cert_chain(sys.argv[1])'
    - require:
      - pkg: The packages of this server are installed
{%- endif %}

HAProxy sends requests to the web hosts:
  file.managed:
    - name: /etc/haproxy/haproxy.cfg
    - source: salt://haproxy/files/haproxy.cfg.jinja
    - template: jinja
    - context:
        name: {{ name }}
        digest: {{ {
          "listen": haproxy.listen,
          "servers": haproxy.servers,
          "health": haproxy.health,
          "slots": haproxy.slots,
          "max_request": haproxy.max_request,
          "traffic": haproxy.get("traffic", {}),
          "backends": haproxy.get("backends", []),
          "tls": tls is mapping,
        } | json(sort_keys=True) | sha256 | truncate(16, True, "") }}
        listen: {{ haproxy.listen | json }}
        servers: {{ haproxy.servers | json }}
        health: {{ haproxy.health | json }}
        slots: {{ haproxy.slots }}
        max_request: {{ haproxy.max_request }}
        traffic: {{ haproxy.get("traffic", {}) | json }}
        backends: {{ haproxy.get("backends", []) | json }}
        sockets: /run/haproxy
        state: /var/lib/haproxy/server-state
        user: haproxy
        certificate: {{ "/etc/haproxy/certificate.pem" if tls else "''" }}
        errors: /etc/haproxy/errors
        maintenance: /var/lib/haproxy/maintenance
        stats: {{ {"listen": haproxy.stats.listen, "users": "operators" if haproxy.stats.get("password") else ""} | json }}
    - user: root
    - group: root
    - mode: '0644'
    - check_cmd: /usr/sbin/haproxy -c -f /etc/haproxy/operators.cfg -f
    - require:
      - file: Who may look at the statistics
      - file: The pages for when nobody can serve are there
      - file: The switch of the maintenance page is there
      {%- if tls %}
      - file: The certificate and its key belong together
      {%- endif %}

The unit of HAProxy keeps states:
  file.managed:
    - name: /etc/systemd/system/haproxy.service.d/{{ name }}.conf
    - source: salt://haproxy/files/unit.conf.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True

HAProxy runs, now and after a boot:
  service.running:
    - name: haproxy.service
    - enable: True
    - require:
      - file: HAProxy sends requests to the web hosts
      - file: The program that keeps drained servers drained is there
      - file: The unit of HAProxy keeps states

HAProxy runs with this configuration:
  {{- settled(name, "haproxy.service", restart=["/etc/systemd/system/haproxy.service.d/" ~ name ~ ".conf"], reload=[
    "/etc/haproxy/haproxy.cfg", "/etc/haproxy/operators.cfg", "/etc/haproxy/certificate.pem", "/etc/haproxy/errors/502.http",
    "/etc/haproxy/errors/503.http", "/etc/haproxy/errors/504.http", "/etc/haproxy/errors/maintenance.http",
  ]) }}
      - service: HAProxy runs, now and after a boot
