# What systemd needs to keep generations: the files that packages bring as well, and this server's own drop-ins.
# Nothing here restarts what serves, but for one thing: another address to listen on. Units that changed count from the
# next generation on.
{%- from "map.jinja" import name, site with context %}
{%- from "base/settle.jinja" import settled %}
{%- import_json "artifacts/files.json" as files %}
{%- set app = site.app %}

{%- for place, text in files | dictsort if not place.startswith("/etc/") %}

{{ place }} is the one that came with the agent:
  file.managed:
    - name: {{ place }}
    - contents: {{ text | json }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True
{%- endfor %}

# As sysusers.d has it; systemd-sysusers would do it too, at the next installation of a package.
The user {{ name }} exists:
  user.present:
    - name: {{ name }}
    - fullname: {{ name }}
    - system: True
    - usergroup: True
    - createhome: False
    - home: /var/lib/{{ name }}/state
    - shell: /usr/sbin/nologin

{#- As tmpfiles.d has them; systemd-tmpfiles does not say what it mends, so Salt looks. #}
{%- for place, owner, mode in (
  ("/opt/" ~ name, "root", "0755"),
  ("/opt/" ~ name ~ "/generations", "root", "0755"),
  ("/opt/" ~ name ~ "/store", "root", "0755"),
  ("/opt/" ~ name ~ "/tmp", "root", "0755"),
  ("/run/" ~ name, name, "0750"),
  ("/var/lib/" ~ name ~ "/state", name, "0700"),
) %}

{{ place }} belongs to {{ owner }}:
  file.directory:
    - name: {{ place }}
    - user: {{ owner }}
    - group: {{ owner }}
    - mode: '{{ mode }}'
    - require:
      - user: The user {{ name }} exists
      - file: The ledger and the lease have a place
    - require_in:
      - service: {{ name }} starts at boot
{%- endfor %}

{#- A host of workers listens nowhere. #}
{%- set address = "The address of " ~ name ~ " is " ~ (app.listen or "none") ~ "; another one restarts it" %}

{{ address }}:
  file.managed:
    - name: /etc/systemd/system/{{ name }}.socket.d/listen.conf
    - source: salt://app/files/listen.conf.jinja
    - template: jinja
    - context:
        name: {{ name }}
        listen: {{ app.listen | json }}
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True

{#- What runs as the application: the web server, and what the contract has beside it. #}
{%- set app_units = [name ~ "@.service"] %}
{%- for unit in (name ~ "-worker@.service", name ~ "-scheduler@.service") %}
{%- if "/usr/lib/systemd/system/" ~ unit in files %}{% do app_units.append(unit) %}{% endif %}
{%- endfor %}
{%- for unit in app_units %}

{{ unit }} may ask its peers, and nobody else:
  file.managed:
    - name: /etc/systemd/system/{{ unit }}.d/peers.conf
    - source: salt://app/files/peers.conf.jinja
    - template: jinja
    - context:
        peers: {{ app.get("peers", []) | json }}
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: True
{%- endfor %}

{%- set requisites %}
    - require:
      {%- for place in files | sort if place.startswith("/usr/lib/systemd/system/") %}
      - file: {{ place }} is the one that came with the agent
      {%- endfor %}
      - file: The agent is installed
      - file: {{ address }}
      {%- for unit in app_units %}
      - file: {{ unit }} may ask its peers, and nobody else
      {%- endfor %}
{%- endset %}

{{ name }} starts at boot:
  service.enabled:
    - name: {{ name }}.service
    {{- requisites }}

{#- Before the first release nobody would answer: what called would queue in the socket for as long as that takes. #}
{%- if salt["file.directory_exists"]("/opt/" ~ name ~ "/current") %}

{{ name }} runs what was deployed:
  service.running:
    - name: {{ name }}.service
    {{- requisites }}
{%- endif %}

# A socket can't move while it is open.
{{ name }} listens on {{ app.listen or "nothing at all" }}:
  {{- settled(name, name ~ ".service", restart=["/etc/systemd/system/" ~ name ~ ".socket.d/listen.conf"]) }}
      - service: {{ name }} starts at boot
