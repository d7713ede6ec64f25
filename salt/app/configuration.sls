# What the application is told: variables, secrets, and whose releases count.
{%- from "map.jinja" import name, site with context %}
{%- set app = site.app %}
{%- set folder = "/etc/" ~ name %}

The directory of variables and secrets is there:
  file.directory:
    - name: {{ folder }}
    - user: root
    - group: root
    - mode: '0755'

The variables of {{ name }} are those of the environment file:
  file.managed:
    - name: {{ folder }}/{{ name }}.env
    - source: salt://app/files/variables.jinja
    - template: jinja
    - context:
        name: {{ name }}
    - user: root
    - group: root
    - mode: '0640'
    - show_changes: False
    - require:
      - file: The directory of variables and secrets is there

Only root reads secrets:
  file.directory:
    - name: {{ folder }}/credentials
    - user: root
    - group: root
    - mode: '0700'
    - require:
      - file: The directory of variables and secrets is there

{%- for secret in app.get("secrets", {}) | sort %}

The secret {{ secret }} is in its file:
  file.managed:
    - name: {{ folder }}/credentials/{{ secret }}
    - contents_pillar: slipway:app:secrets:{{ secret }}
    - contents_newline: False
    - user: root
    - group: root
    - mode: '0600'
    - show_changes: False
    - require:
      - file: Only root reads secrets
{%- endfor %}

{#- It must not require the directory itself: what is in that would be kept (_gen_keep_files in Salt's file.py). #}

No other secret is left over:
  file.directory:
    - name: {{ folder }}/credentials
    - mode: '0700'
    - clean: True
    - require:
      - file: The directory of variables and secrets is there
      {%- for secret in app.get("secrets", {}) | sort %}
      - file: The secret {{ secret }} is in its file
      {%- endfor %}

{%- if app.get("signers") %}

Releases count when one of these keys has signed them:
  file.managed:
    - name: {{ folder }}/allowed_signers
    - contents_pillar: slipway:app:signers
    - user: root
    - group: root
    - mode: '0644'
    - require:
      - file: The directory of variables and secrets is there
{%- else %}

Releases count without a signature:
  file.absent:
    - name: {{ folder }}/allowed_signers
{%- endif %}
