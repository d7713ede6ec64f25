"""Migrations: `kiosk.database` carries them out."""
