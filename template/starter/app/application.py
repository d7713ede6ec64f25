"""The one place where the application is put together."""

from __future__ import annotations

from flask import Flask

from app import about
from app.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Make the application; nothing is done when a module is imported."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = settings.secret_key

    @app.get("/")
    def home() -> dict[str, str]:
        return {"name": about.NAME, "version": about.installed_version()}

    @app.get("/livez")
    def live() -> dict[str, str]:
        """Say that the process is up."""
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        """Say that it can serve: ask here what it can't do without, and answer 503 where that is not there."""
        return {"status": "ok"}

    return app
