# Which states a server gets, by its roles in pillar. What pillar's features switch off is not touched.
base:
  '*':
    - base
    - app.agent
    - firewall

  'I@slipway:roles:web or I@slipway:roles:worker or I@slipway:roles:scheduler':
    - match: compound
    - python
    - docker
    - app

  'slipway:roles:lb':
    - match: pillar
    - haproxy

  'slipway:roles:db':
    - match: pillar
    - postgresql
    - redis
