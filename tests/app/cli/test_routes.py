from app.routes import ROUTES


def test_every_route_is_listed_with_who_may_call_it(run) -> None:
    lines = run("routes").stdout.splitlines()
    assert len(lines) == len(ROUTES)
    assert any(line.split()[:2] == ["GET", "/api/v1/users/me"] and "signed in" in line for line in lines)
