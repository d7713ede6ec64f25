# The server runs no containers any more. Images and volumes stay, and so do the package and its settings.

The engine is stopped, now and after a boot:
  service.dead:
    - name: docker.service
    - enable: False

Nobody's question starts the engine:
  service.dead:
    - name: docker.socket
    - enable: False
    - require:
      - service: The engine is stopped, now and after a boot
