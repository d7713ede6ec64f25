# What every server gets, whatever its role.
{%- from "map.jinja" import features with context %}

include:
  - base.packages
  - base.settle
  - base.users
  {%- for feature in ("journald", "sshd", "time", "updates") if features[feature] %}
  - base.{{ feature }}
  {%- endfor %}
