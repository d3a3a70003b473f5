"""One token's order book: levels, times and state, merged so that the order of arrival does not matter.

Each level is a last-writer-wins register: a change writes one level, a snapshot writes all levels (those it
does not mention become empty). The newest writer by the venue's clock wins; of equal times the later arrival
wins. So any arrival order of the same writes with distinct times ends in the same book.

Invariants: quantities are never 0; prices lie strictly between 0 and 1; the cached best prices are those of
the dicts; level times are only kept for levels that are younger than the newest snapshot. Knows no frames,
no streams and no witnesses; only core.books changes a book.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from overround.core.events import Side
from overround.core.market import Market

if TYPE_CHECKING:
    from overround.core.witnesses import Doubt

NO_BID_PX_E6: Final = 0
"""Best bid of a book without bids (the venue's own convention); no valid price has this value."""
NO_ASK_PX_E6: Final = 1_000_000
"""Best ask of a book without asks (the venue's own convention); no valid price has this value."""

NO_LINK: Final = -1
"""Link of a book that no connection may change at present."""


class BookState(StrEnum):
    """Whether a book may be believed."""

    EMPTY = "empty"
    """Never subscribed."""
    SYNCING = "syncing"
    """The connection is up, no snapshot has come in this generation and epoch."""
    LIVE = "live"
    SUSPECT = "suspect"
    """A witness contradicts it."""
    STALE = "stale"
    """Its stream is down; the levels are the last ones seen."""


class Book:
    """The book of one token. Read-only for everyone outside core.books."""

    __slots__ = (
        "ask_ts_ms",
        "asks",
        "audit",
        "best_ask_px_e6",
        "best_bid_px_e6",
        "bid_ts_ms",
        "bids",
        "condition_id",
        "doubt",
        "epoch",
        "epoch_ts_ms",
        "exchange_ts_ms",
        "generation",
        "last_hash",
        "link",
        "market",
        "mirror",
        "pending",
        "pending_lost_ts_ms",
        "recv_ts_ns",
        "snapshot_seq",
        "snapshot_ts_ms",
        "state",
        "stream",
        "token_id",
    )

    def __init__(self, token_id: str, market: Market) -> None:
        self.token_id = token_id
        self.condition_id = market.condition_id
        self.market = market
        """Metadata with the tick size now in force."""
        self.state = BookState.EMPTY
        self.stream = -1
        self.generation = -1
        self.link = NO_LINK
        """The connection whose changes apply at once; ``NO_LINK`` unless LIVE or SUSPECT."""
        self.epoch = 0
        """+1 on each change of the tick size."""
        self.epoch_ts_ms = 0
        self.exchange_ts_ms = 0
        """Venue time of the newest write applied (0 = none)."""
        self.recv_ts_ns = 0
        """Receive time of the last write applied (0 = none)."""
        self.snapshot_seq = 0
        """Snapshots applied so far (0 = none)."""
        self.snapshot_ts_ms = 0
        """Venue time of the newest snapshot: the lower bound of every level's time."""
        self.last_hash = ""
        """The venue's hash as of ``exchange_ts_ms``, "" if none was given."""
        self.best_bid_px_e6 = NO_BID_PX_E6
        self.best_ask_px_e6 = NO_ASK_PX_E6
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.bid_ts_ms: dict[int, int] = {}
        self.ask_ts_ms: dict[int, int] = {}
        self.pending: dict[tuple[bool, int], tuple[int, int]] | None = None
        """Changes that came before the snapshot: (is bid, price) to (quantity, venue time)."""
        self.pending_lost_ts_ms = -1
        self.mirror: Book = self
        """The other token's book of the same market."""
        self.doubt: Doubt | None = None
        """What a witness holds against the book, while that is not settled."""
        self.audit = False
        """Whether the hash of the next complete batch is to be checked."""

    def __repr__(self) -> str:
        return f"<Book {self.token_id[:12]} {self.state} {self.best_bid_px_e6}/{self.best_ask_px_e6}>"

    @property
    def live(self) -> bool:
        """Whether the book may be traded on."""
        return self.state is BookState.LIVE

    def levels(self, side: Side, depth: int | None = None) -> list[tuple[int, int]]:
        """Return (price, quantity) pairs in millionths, best first; ``Side.BUY`` gives the bids."""
        levels = sorted(self.bids.items(), reverse=True) if side is Side.BUY else sorted(self.asks.items())
        return levels if depth is None else levels[:depth]

    def clear(self) -> None:
        """Forget all levels and times."""
        self.bids = {}
        self.asks = {}
        self.bid_ts_ms = {}
        self.ask_ts_ms = {}
        self.best_bid_px_e6 = NO_BID_PX_E6
        self.best_ask_px_e6 = NO_ASK_PX_E6
        self.exchange_ts_ms = 0
        self.snapshot_ts_ms = 0
        self.last_hash = ""
        self.pending = None
        self.pending_lost_ts_ms = -1

    def merge_snapshot(self, bids: dict[int, int], asks: dict[int, int], ts_ms: int) -> bool:
        """Write all levels as of ``ts_ms``, keeping younger ones; the dicts become the book's own.

        Returns False, and changes nothing, if a younger snapshot was already applied.
        """
        if ts_ms < self.snapshot_ts_ms:
            return False
        if ts_ms < self.exchange_ts_ms:
            _keep_younger(self.bids, self.bid_ts_ms, bids, ts_ms)
            _keep_younger(self.asks, self.ask_ts_ms, asks, ts_ms)
        else:
            self.bid_ts_ms.clear()
            self.ask_ts_ms.clear()
            self.exchange_ts_ms = ts_ms
        self.snapshot_ts_ms = ts_ms
        self.bids = bids
        self.asks = asks
        self.best_bid_px_e6 = max(bids, default=NO_BID_PX_E6)
        self.best_ask_px_e6 = min(asks, default=NO_ASK_PX_E6)
        return True

    def write_late(self, *, is_bid: bool, px_e6: int, qty_e6: int, ts_ms: int) -> bool:
        """Write one level with a time older than the book's; returns whether it was the level's newest."""
        side, times = (self.bids, self.bid_ts_ms) if is_bid else (self.asks, self.ask_ts_ms)
        if ts_ms < times.get(px_e6, self.snapshot_ts_ms):
            return False
        times[px_e6] = ts_ms
        if qty_e6:
            side[px_e6] = qty_e6
        else:
            side.pop(px_e6, None)
        if is_bid:
            self.best_bid_px_e6 = max(side, default=NO_BID_PX_E6)
        else:
            self.best_ask_px_e6 = min(side, default=NO_ASK_PX_E6)
        return True

    def hold_change(self, *, is_bid: bool, px_e6: int, qty_e6: int, ts_ms: int, cap: int) -> None:
        """Keep a change that came before the snapshot; beyond ``cap`` levels only its loss is remembered."""
        if self.pending is None:
            self.pending = {}
        key = (is_bid, px_e6)
        known = self.pending.get(key)
        if known is None and len(self.pending) >= cap:
            self.pending_lost_ts_ms = max(self.pending_lost_ts_ms, ts_ms)
        elif known is None or ts_ms >= known[1]:
            self.pending[key] = (qty_e6, ts_ms)

    def release_pending(self) -> int:
        """Apply the held changes that are younger than the snapshot; returns how many were."""
        pending, self.pending = self.pending, None
        lost_ts_ms, self.pending_lost_ts_ms = self.pending_lost_ts_ms, -1
        if not pending:
            return 0
        snapshot_ts_ms = self.snapshot_ts_ms
        applied = 0
        for (is_bid, px_e6), (qty_e6, ts_ms) in pending.items():
            if ts_ms > snapshot_ts_ms:
                self.write_late(is_bid=is_bid, px_e6=px_e6, qty_e6=qty_e6, ts_ms=ts_ms)
                self.exchange_ts_ms = max(self.exchange_ts_ms, ts_ms)
                applied += 1
        if lost_ts_ms > snapshot_ts_ms:
            self.pending_lost_ts_ms = lost_ts_ms
        if applied:
            self.last_hash = ""
        return applied


def _keep_younger(own: Mapping[int, int], times: dict[int, int], fresh: dict[int, int], ts_ms: int) -> None:
    """Overwrite in ``fresh`` the levels that changed after ``ts_ms``; older times are dropped."""
    for px_e6, changed_ts_ms in list(times.items()):
        if changed_ts_ms <= ts_ms:
            del times[px_e6]
        elif px_e6 in own:
            fresh[px_e6] = own[px_e6]
        else:
            fresh.pop(px_e6, None)
