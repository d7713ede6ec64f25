import dataclasses
from datetime import UTC, datetime

from app.users.models import Role, User


def test_admins_are_those_with_the_role() -> None:
    user = User(1, "me@example.org", "Me", "hash", active=True, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert not user.admin
    assert dataclasses.replace(user, role=Role.ADMIN).admin
