# Who may log in to call the agent. The application's own user comes with its units (app/server.sls).
{%- from "map.jinja" import name, site with context %}
{%- set user = site.agent.user %}

The user {{ user }} may log in to call the agent:
  user.present:
    - name: {{ user }}
    - fullname: Calls the agent of {{ name }}
    - shell: /bin/sh
    - home: /home/{{ user }}
    # No password fits, and yet the account is not locked: sshd lets nobody in whose account is.
    - password: '*'
    - enforce_password: False

The keys of {{ user }} are where only {{ user }} reads them:
  file.directory:
    - name: /home/{{ user }}/.ssh
    - user: {{ user }}
    - group: {{ user }}
    - mode: '0700'
    - require:
      - user: The user {{ user }} may log in to call the agent

The keys of {{ user }} are exactly those of the operators:
  file.managed:
    - name: /home/{{ user }}/.ssh/authorized_keys
    - source: salt://base/files/authorized_keys.jinja
    - template: jinja
    - context:
        keys: {{ site.agent["keys"] | json }}
    - user: {{ user }}
    - group: {{ user }}
    - mode: '0600'
    - require:
      - file: The keys of {{ user }} are where only {{ user }} reads them

The user {{ user }} may call the agent as root, and nothing else:
  file.managed:
    - name: /etc/sudoers.d/{{ name }}
    - source: salt://base/files/sudoers.jinja
    - template: jinja
    - context:
        name: {{ name }}
        user: {{ user }}
    - user: root
    - group: root
    - mode: '0440'
    - check_cmd: /usr/sbin/visudo -c -q -f
    - require:
      - pkg: The packages of this server are installed
