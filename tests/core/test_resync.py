"""Snapshot requests: grouped by reason, repeated ever more slowly, dropped when nothing waits any more."""

from overround.core.book import BookState
from overround.core.commands import RequestSnapshot
from overround.core.resync import INTERVAL_NS, MAX_DOUBLINGS, SnapshotRequests
from tests.core.worlds import live_books, market


def waiting(*token_ids: str) -> SnapshotRequests:
    """Return requests over books of two markets, of which ``token_ids`` are suspect."""
    books = live_books(market("m"), market("n"))
    for token_id in token_ids:
        books.by_token[token_id].state = BookState.SUSPECT
    return SnapshotRequests(books)


def test_one_request_per_reason() -> None:
    requests = waiting("m-yes", "m-no", "n-yes")
    for token_id, reason in (("m-yes", "top"), ("n-yes", "hash"), ("m-no", "top"), ("m-yes", "hash")):
        requests.add(token_id, reason)
    assert requests.due(0) == [RequestSnapshot(("m-yes", "m-no"), "top"), RequestSnapshot(("n-yes",), "hash")]


def test_the_pause_doubles_up_to_a_limit() -> None:
    requests = waiting("m-yes")
    requests.add("m-yes", "top")
    now, pauses = 0, []
    requests.due(now)
    for _ in range(MAX_DOUBLINGS + 3):
        last = now
        while not requests.due(now):
            now += INTERVAL_NS
        pauses.append((now - last) // INTERVAL_NS)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_what_needs_no_snapshot_is_dropped() -> None:
    requests = waiting()
    for token_id in ("m-yes", "unknown"):
        requests.add(token_id, "top")
    assert len(requests) == 2
    assert requests.due(0) == []
    assert len(requests) == 0


def test_clear() -> None:
    requests = waiting("m-yes")
    requests.add("m-yes", "top")
    requests.clear()
    assert requests.due(0) == []
