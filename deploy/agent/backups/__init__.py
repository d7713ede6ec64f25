"""Backups of the application's database, on the server that has it: made, proven by restoring them, and restored."""
