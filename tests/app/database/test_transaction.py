from app.database.transaction import InMemoryTransaction


def test_commits_are_counted() -> None:
    transaction = InMemoryTransaction()
    transaction.commit()
    transaction.commit()
    assert transaction.commits == 2
