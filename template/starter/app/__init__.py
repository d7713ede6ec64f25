"""The application: all that is in the wheel."""
