"""The engine for many hosts: requests to agents go by a salt-master (docs/decisions/0024-the-salt-engine.md)."""
