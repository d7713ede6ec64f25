from app.users.access import NoAccess


def test_it_remembers_what_was_ended() -> None:
    access = NoAccess()
    access.end(1)
    access.end_links(2)
    assert (access.ended, access.links_ended) == ([1], [2])
