from werkzeug.test import Client

from app.about import NAME, TAGLINE, installed_version
from app.application import create_app
from app.database.revisions import read_revisions
from app.settings import Settings


def test_the_index_says_what_this_is_and_its_links_work(client: Client) -> None:
    index = client.get("/").json
    assert (index["name"], index["tagline"]) == (NAME, TAGLINE)
    statuses = {link: client.get(link).status_code for link in index["links"].values()}
    # Nothing is near Paris, the database is empty; all others answer.
    assert {link: status for link, status in statuses.items() if status != 200} == {
        index["links"]["reverse_geocode"]: 404
    }


def test_the_version_is_that_of_the_release(settings: Settings) -> None:
    update = {"release_version": "1.4.0+g1a2b3c4", "release_generation": "17", "environment": "staging"}
    application = create_app(settings.model_copy(update=update))
    assert Client(application).get("/version").json == {
        "name": NAME,
        "version": "1.4.0+g1a2b3c4",
        "commit": "1a2b3c4",
        "generation": "17",
        "environment": "staging",
        "schema_revision": read_revisions()[-1].revision,
    }
    application.close()


def test_without_a_release_it_is_that_of_the_package(client: Client) -> None:
    found = client.get("/version").json
    assert found["version"] == installed_version()
    assert found["generation"] is None
