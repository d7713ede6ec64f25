# A server that runs releases: the agent, and what systemd needs to keep generations. Releases are the agent's.
include:
  - base.settle
  - app.agent
  - app.configuration
  - app.units
  - app.leave
