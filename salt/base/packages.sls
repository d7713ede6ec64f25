# One state for the packages of all roles: one question to the package manager, and one installation on an empty server.
{%- from "map.jinja" import site, features, os with context %}
{%- set packages = os.sshd.packages %}
{%- for feature in ("firewall", "time", "updates") if features[feature] %}
  {%- do packages.extend(os[feature].packages) %}
{%- endfor %}
{%- if "app" in site %}
  {%- do packages.append(os.python.package.format(version=site.app.python)) %}
  {%- do packages.extend(site.app.get("packages", {}).get(grains["os_family"] | lower, [])) %}
{%- endif %}
{%- if "app" in site and (features.docker or site.app.artifact != "image") %}
  {%- do packages.extend(os.forms[site.app.artifact]) %}
{%- endif %}
{%- for role, concern in (("lb", "haproxy"), ("db", "postgresql")) if role in site.roles %}
  {%- do packages.extend(os[concern].packages) %}
{%- endfor %}
{%- if "db" in site.roles and features.redis %}
  {%- do packages.extend(os.redis.packages) %}
{%- endif %}

The packages of this server are installed:
  pkg.installed:
    - pkgs: {{ packages | unique | sort | json }}
    - install_recommends: False
