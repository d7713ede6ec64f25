"""See app/wsgiapp.py."""
