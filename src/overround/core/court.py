"""Where the witnesses of core.witnesses are heard: which books are doubted, condemned and cleared.

Invariants: only a LIVE book is condemned, and only a doubt that stood its time condemns; every change of a
book's state marks its token in ``touched``. Knows no frames, no streams and no writes.
"""

from overround.core.book import NO_LINK, Book, BookState
from overround.core.events import BookSuspect
from overround.core.units import E6
from overround.core.witnesses import HEALING_BATCHES, MANY_BATCHES, BookCounters, Doubt, Witness


class Court:
    """Hears the witnesses of all books."""

    def __init__(self) -> None:
        self.touched: dict[str, None] = {}
        """Tokens whose levels or state changed since the engine last looked, in order."""
        self.tally = BookCounters()
        """What :attr:`Books.counters` shows, without the frames of :meth:`Books.apply_pair`."""
        self.alarms: list[BookSuspect] = []
        """Verdicts not yet collected by :meth:`take_alarms`."""
        self.doubted: dict[str, Book] = {}
        """Books with an open doubt."""
        self.next_deadline_ns = 0
        """Earliest deadline of an open doubt; meaningless while ``doubted`` is empty."""

    def take_alarms(self) -> list[BookSuspect]:
        """Return the verdicts since the last call."""
        alarms, self.alarms = self.alarms, []
        return alarms

    def judge_top(self, book: Book, bid_px_e6: int, ask_px_e6: int, ts_ms: int, ts_ns: int) -> None:
        """Compare the best prices a change carries with the book's own."""
        counters = self.tally
        counters.top_checked += 1
        if book.best_bid_px_e6 == bid_px_e6 and book.best_ask_px_e6 == ask_px_e6:
            if book.doubt is not None:
                self.agree(book, "top", ts_ms)
            return
        counters.top_mismatch += 1
        own = f"{book.best_bid_px_e6}/{book.best_ask_px_e6}"
        self.contradict(book, "top", ts_ms, ts_ns, f"own top {own}, venue says {bid_px_e6}/{ask_px_e6}")

    def judge_pair(self, book: Book, exchange_ts_ms: int, ts_ns: int) -> None:
        """Compare a book with its mirror and with itself. Both must be as of the same venue time."""
        bid_px_e6 = book.best_bid_px_e6
        ask_px_e6 = book.best_ask_px_e6
        if bid_px_e6 >= ask_px_e6 and book.link != NO_LINK:
            self.contradict(book, "crossed", exchange_ts_ms, ts_ns, f"bid {bid_px_e6}, ask {ask_px_e6}")
        elif book.doubt is not None:
            self.agree(book, "crossed", exchange_ts_ms)
        other = book.mirror
        if other.exchange_ts_ms != exchange_ts_ms or other.link != book.link or book.link == NO_LINK:
            return
        counters = self.tally
        counters.mirror_checked += 1
        if (
            other.best_ask_px_e6 != E6 - bid_px_e6
            or other.best_bid_px_e6 != E6 - ask_px_e6
            or len(other.asks) != len(book.bids)
            or len(other.bids) != len(book.asks)
        ):
            counters.mirror_mismatch += 1
            detail = f"{bid_px_e6}/{ask_px_e6} against {other.best_bid_px_e6}/{other.best_ask_px_e6}"
            self.contradict(book, "mirror", exchange_ts_ms, ts_ns, detail)
            self.contradict(other, "mirror", exchange_ts_ms, ts_ns, detail)
        elif book.doubt is not None or other.doubt is not None:
            self.agree(book, "mirror", exchange_ts_ms)
            self.agree(other, "mirror", exchange_ts_ms)

    def contradict(self, book: Book, witness: Witness, ts_ms: int, ts_ns: int, detail: str) -> None:
        """Take a witness's word against a book: open a doubt, or let an open one grow into a verdict."""
        doubt = book.doubt
        if doubt is None:
            doubt = book.doubt = Doubt(witness, ts_ms, ts_ns, detail)
            book.audit = True
            if not self.doubted or doubt.deadline_ns < self.next_deadline_ns:
                self.next_deadline_ns = doubt.deadline_ns
            self.doubted[book.token_id] = book
            self.tally.doubts += 1
            return
        if ts_ms != doubt.last_ts_ms:
            doubt.batches += 1
            doubt.last_ts_ms = ts_ms
        doubt.agreeing = 0
        if ts_ns >= doubt.deadline_ns or doubt.batches >= MANY_BATCHES:
            self._condemn(book, doubt)

    def agree(self, book: Book, witness: Witness, ts_ms: int) -> None:
        """Take a witness's word for a book: it withdraws a doubt of its own; a hash withdraws any."""
        doubt = book.doubt
        if doubt is None or (witness not in {doubt.witness, "hash"}):
            return
        if ts_ms != doubt.last_ts_ms:
            doubt.agreeing += 1
            doubt.last_ts_ms = ts_ms
        if book.state is not BookState.SUSPECT or witness == "hash" or doubt.agreeing >= HEALING_BATCHES:
            self.settle(book)

    def sweep(self, ts_ns: int) -> None:
        """Condemn the books whose contradiction has stood for too long."""
        deadlines = []
        for book in list(self.doubted.values()):
            doubt = book.doubt
            if doubt is None or book.state is BookState.SUSPECT:
                continue
            if ts_ns >= doubt.deadline_ns:
                self._condemn(book, doubt)
            else:
                deadlines.append(doubt.deadline_ns)
        self.next_deadline_ns = min(deadlines, default=1 << 63)

    def _condemn(self, book: Book, doubt: Doubt) -> None:
        if book.state is not BookState.LIVE:
            return
        book.state = BookState.SUSPECT
        self.touched[book.token_id] = None
        self.tally.suspects += 1
        self.tally.resync(doubt.witness)
        self.alarms.append(BookSuspect(book.token_id, doubt.witness, doubt.detail))

    def forget_doubt(self, book: Book) -> None:
        """Drop a doubt without a verdict."""
        book.doubt = None
        book.audit = False
        self.doubted.pop(book.token_id, None)

    def settle(self, book: Book) -> None:
        """Close a doubt in the book's favour."""
        self.forget_doubt(book)
        if book.state is BookState.SUSPECT:
            book.state = BookState.LIVE
            self.tally.healed += 1
            self.touched[book.token_id] = None
