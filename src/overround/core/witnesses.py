"""What speaks for and against a book, and when a contradiction becomes a verdict.

The venue gives no sequence numbers, so a book is judged by witnesses: the best prices each change carries
(``top``), the other token's book (``mirror``), the venue's hash (``hash``), its own sense (``crossed``) and
its clock (``clock``).

Measured on real recordings: frames arrive up to 90 ms out of order, and about one batch in a hundred carries
a hash that already includes the next change. So a single contradiction only opens a doubt. It becomes a
verdict when it still stands ``PATIENCE_NS`` of receive time later, and it is withdrawn by the same witness
(or by a verified hash or a snapshot, which speak for every level).
"""

from typing import Final, Literal, TypeAlias

import msgspec

PATIENCE_NS: Final = 250_000_000
"""How long a contradiction may stand before the book is SUSPECT."""

MANY_BATCHES: Final = 32
"""Contradicting batches in a row that need no further patience: at the busiest rates seen this is 50 ms."""

HEALING_BATCHES: Final = 3
"""Agreeing batches in a row that clear a SUSPECT book without a snapshot (hysteresis)."""

MAX_LATE_MS: Final = 10_000
"""A frame later than this is not reordering: the venue's clock or ours is wrong."""

LAGGING_MS: Final = 2_000
"""How far one token's book may fall behind its mirror: the venue tells every change for both at once."""

Witness: TypeAlias = Literal["top", "mirror", "hash", "crossed", "clock"]


class Doubt:
    """An open contradiction against one book."""

    __slots__ = ("agreeing", "batches", "deadline_ns", "detail", "last_ts_ms", "witness")

    def __init__(self, witness: Witness, ts_ms: int, ts_ns: int, detail: str) -> None:
        self.witness: Witness = witness
        self.detail = detail
        self.deadline_ns = ts_ns + PATIENCE_NS
        self.last_ts_ms = ts_ms
        self.batches = 1
        self.agreeing = 0


class BookCounters(msgspec.Struct):
    """What happened to the books, in plain counts since the start."""

    frames: int = 0
    """Frames that were understood, whatever their type."""
    rejected: int = 0
    ignored: int = 0
    """PONG and empty texts."""
    snapshots: int = 0
    """Snapshots applied."""
    changes: int = 0
    """Changes that wrote a level, held ones included once applied."""
    trades: int = 0
    unknown_tokens: int = 0
    """Entries for tokens that are not tracked."""
    old_generation: int = 0
    """Entries from a connection that no longer, or does not, serve the token."""
    held: int = 0
    """Changes that came before their snapshot."""
    late_frames: int = 0
    """Frames older than the newest write of a book they touch."""
    late_applied: int = 0
    """Late writes that did change a level: the book was not true until then."""
    late_ignored: int = 0
    """Late writes older than what the level or the whole book already had."""
    untrue_ms: int = 0
    """Sum over ``late_applied`` of how far behind the book's time the write was, in venue time."""
    untrue_max_ms: int = 0
    top_checked: int = 0
    top_mismatch: int = 0
    mirror_checked: int = 0
    mirror_mismatch: int = 0
    snapshot_hash_ok: int = 0
    snapshot_hash_failed: int = 0
    snapshot_hash_unverified: int = 0
    """Snapshots whose hash needs a last trade price that never became known."""
    batches: int = 0
    """Batches (all changes of one token and venue time) that carried a hash and are complete."""
    batch_hash_checked: int = 0
    batch_hash_ok: int = 0
    doubts: int = 0
    suspects: int = 0
    healed: int = 0
    """SUSPECT books that their witnesses or a snapshot cleared."""
    resyncs: dict[str, int] = msgspec.field(default_factory=dict)
    """How often a book lost or had to renew its levels, by reason."""

    def resync(self, reason: str) -> None:
        """Count one resync."""
        self.resyncs[reason] = self.resyncs.get(reason, 0) + 1
