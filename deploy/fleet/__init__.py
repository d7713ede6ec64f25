"""Real machines on one computer: systemd-nspawn boots Debian on overlays over one cached base."""
