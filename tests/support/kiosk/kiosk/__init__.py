"""A kiosk: goods in SQLite, and whoever orders some."""
