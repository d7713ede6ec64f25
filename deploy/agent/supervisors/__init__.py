"""What keeps processes alive under the agent: `process` (no root, no systemd)."""
