"""The application as gunicorn loads it."""

import os
import socket

from flask import Flask, jsonify

from tiny import EDITION

application = Flask(__name__)


@application.get("/livez")
@application.get("/readyz")
def health():
    """Say that it can serve."""
    return jsonify(ok=True)


@application.get("/")
def page():
    """Say which edition this is, on which host, with which variables."""
    return jsonify(edition=EDITION, host=socket.gethostname(), colour=os.environ.get("COLOUR"))
