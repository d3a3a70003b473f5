"""Check a recording's books against every witness the venue gives, above all its hash.

Two readings of the same frames: each book and batch rebuilt in exchange-time order from exact texts and
hashed (book_check_batches), and the running system's own books fed in arrival order (book_check_live).
Invariants: all hashes are checked, whatever it costs; memory is bounded by a few seconds of feed. Knows no
file format: frames come in.
"""

from collections.abc import Iterable, Mapping

import msgspec

from overround.core.market import Market
from overround.polymarket.book_check_batches import MarketCheck
from overround.polymarket.book_check_input import Frame, Survey, read_messages, read_twice, survey
from overround.polymarket.book_check_live import LiveRun
from overround.polymarket.book_check_misses import Classifier
from overround.polymarket.book_check_tally import Agreement, FileReport, Tally
from overround.polymarket.book_check_terms import Terms

__all__ = ["FileReport", "check_frames"]


def check_frames(
    frames: Iterable[Frame], metadata: Mapping[str, Market] | None = None, *, path: str = ""
) -> FileReport:
    """Return the report on one recording.

    ``frames`` is read twice; an iterator is first kept in memory. ``metadata`` gives markets by condition
    id; what it lacks is taken from the frames and proven by the hashes.
    """
    frames = read_twice(frames)
    surveyed = survey(frames)
    markets = {**surveyed.markets, **(metadata or {})}
    check = _Check(surveyed, markets)
    for frame in frames:
        check.feed(frame)
    return check.report(path)


class _Check:
    def __init__(self, surveyed: Survey, markets: Mapping[str, Market]) -> None:
        self._frames = 0
        self._surveyed = surveyed
        self._markets = dict(markets)
        self._tally = Tally()
        self._classifier = Classifier()
        self._checks: dict[str, MarketCheck] = {}
        self._live = LiveRun(markets, surveyed.tokens_of)

    def feed(self, frame: Frame) -> None:
        messages = read_messages(frame.payload)
        for message in messages:
            check = self._checks.get(message.market)
            if check is None:
                hints = self._markets.get(message.market)
                check = MarketCheck(message.market, hints, self._tally, self._classifier)
                self._checks[message.market] = check
            check.take(self._frames, (frame.stream, frame.generation), message)
            if message.bids is not None and check.found.known is not None:
                self._correct(message.market, check.found.known)
        self._live.feed(frame, messages)
        self._frames += 1

    def _correct(self, condition_id: str, terms: Terms) -> None:
        """Let the running books know what the first verified hash proved."""
        market = self._markets.get(condition_id)
        if market is None or market.neg_risk == terms.neg_risk:
            return
        self._markets[condition_id] = msgspec.structs.replace(market, neg_risk=terms.neg_risk)
        self._live.correct(self._markets[condition_id])

    def report(self, path: str) -> FileReport:
        for check in self._checks.values():
            check.finish()
        counters = self._live.books.counters
        return FileReport(
            path=path,
            frames=self._frames,
            rejected=counters.rejected,
            tokens=self._surveyed.token_count,
            books=self._tally.book_count(),
            batches=self._tally.batch_count(),
            top=Agreement(counters.top_checked, counters.top_mismatch),
            mirror=Agreement(counters.mirror_checked, counters.mirror_mismatch),
            late_frames=self._tally.late_frames,
            resyncs=self._live.resyncs,
            states_ms=self._live.states_ms(),
            rebuilt=self._tally.rebuilt(),
            running=self._live.counters(),
            examples=self._tally.examples,
            notes=[*self._tally.notes(), *self._live.notes()],
        )
