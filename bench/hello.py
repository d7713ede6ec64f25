"""The least that Flask and Falcon can do, for bench/app.py: what the frameworks themselves cost."""

import falcon
import flask

flask_app = flask.Flask("hello")


@flask_app.get("/hello")
def hello() -> dict[str, str]:
    """Answer the same every time."""
    return {"status": "ok"}


class Hello:
    """The same for Falcon."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Answer the same every time."""
        response.media = {"status": "ok"}


falcon_app = falcon.App()
falcon_app.add_route("/hello", Hello())
