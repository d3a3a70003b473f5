"""The same frames through the running system's own decoder and books: what it would have believed.

Invariants: the books are written only by ``MarketDecoder``; a new generation of a stream is the end of the
one before; time is the feed's own (newest exchange time), because many recordings keep no receive time
finer than a second. Knows no hashes.
"""

from collections.abc import Mapping

import msgspec

from overround.core.books import Books, BookState
from overround.core.events import BookSuspect, FrameRejected, TickSizeChanged
from overround.core.market import Market
from overround.polymarket.book_check_input import Frame, Message
from overround.polymarket.book_check_tally import Resync
from overround.polymarket.decoder import MarketDecoder

MAX_CLOCK_ERROR_MS = 86_400_000
"""An exchange time further than this from the receive time is damage and does not move the clock."""

_REPORTED = (BookState.LIVE, BookState.SUSPECT, BookState.STALE, BookState.SYNCING)


class LiveRun:
    """One pass of a recording through ``Books``."""

    def __init__(self, markets: Mapping[str, Market], tokens_of: Mapping[int, list[str]]) -> None:
        self.books = Books()
        self._decoder = MarketDecoder(self.books)
        self.resyncs: list[Resync] = []
        self._rejected: dict[str, int] = {}
        """Frames refused, by reason."""
        self._tokens_of = tokens_of
        self._generation: dict[int, int] = {}
        self._now_ms = 0
        self._since: dict[str, tuple[BookState, int]] = {}
        """Each seen token's state and since when."""
        self._spent_ms: dict[BookState, int] = dict.fromkeys(_REPORTED, 0)
        for market in markets.values():
            self.books.track(market, 0)
        self.books.clear_touched()

    def feed(self, frame: Frame, messages: list[Message]) -> None:
        """Ingest one frame, whose readable ``messages`` tell the time."""
        self._tick(frame, messages)
        ts_ns = self._now_ms * 1_000_000
        if self._generation.get(frame.stream) != frame.generation:
            self._connect(frame.stream, frame.generation, ts_ns)
        for fact in self._decoder.ingest(frame.payload, ts_ns, frame.stream, frame.generation) or ():
            match fact:
                case FrameRejected(reason=reason):
                    self._rejected[reason] = self._rejected.get(reason, 0) + 1
                case BookSuspect(token_id=token_id, witness=witness):
                    self.resyncs.append(Resync(token_id, witness, self._now_ms))
                case TickSizeChanged(token_id=token_id):
                    self.resyncs.append(Resync(token_id, "tick_size", self._now_ms))
                case _:
                    pass
        self._note_states()

    def correct(self, market: Market) -> None:
        """Take over what the hashes proved about a market before its first frame is ingested."""
        self.books.track(market, self._now_ms * 1_000_000)

    def states_ms(self) -> dict[str, int]:
        """Return how long books were in each state, summed over the tokens the recording holds."""
        spent = dict(self._spent_ms)
        for state, since_ms in self._since.values():
            if state in spent:
                spent[state] += self._now_ms - since_ms
        return {state.name: ms for state, ms in spent.items()}

    def counters(self) -> dict[str, int]:
        """Return what the running system counted."""
        counted = msgspec.structs.asdict(self.books.counters)
        return {name: count for name, count in counted.items() if isinstance(count, int)}

    def notes(self) -> list[str]:
        """Return which frames were refused, and why."""
        return [f"{count} frames rejected: {reason}" for reason, count in sorted(self._rejected.items())]

    def _tick(self, frame: Frame, messages: list[Message]) -> None:
        recv_ms = frame.recv_wall_ns // 1_000_000
        for message in messages:
            if abs(message.ts_ms - recv_ms) < MAX_CLOCK_ERROR_MS:
                self._now_ms = max(self._now_ms, message.ts_ms)

    def _connect(self, stream: int, generation: int, ts_ns: int) -> None:
        tokens = self._tokens_of.get(stream, [])
        before = self._generation.get(stream)
        if before is not None:
            self.books.stream_down(stream, before, ts_ns, "reconnect")
            self.resyncs.extend(Resync(token_id, "reconnect", self._now_ms) for token_id in tokens)
        self._generation[stream] = generation
        self.books.stream_up(stream, generation, tokens, ts_ns)

    def _note_states(self) -> None:
        for token_id in self.books.touched:
            book = self.books.get(token_id)
            if book is None:
                continue
            known = self._since.get(token_id)
            if known is None or known[0] is not book.state:
                if known is not None and known[0] in self._spent_ms:
                    self._spent_ms[known[0]] += self._now_ms - known[1]
                self._since[token_id] = book.state, self._now_ms
        self.books.clear_touched()
