"""The queue position of one resting order among the liquidity that a recording shows.

A trade and the change of its price level are two messages, in either order and up to a quarter of a
second apart. Volume that left the level is therefore kept as *unexplained* for a while: a trade that
arrives explains it, and only the rest counts as cancels. Volume that traded before the level changed is
kept as *unseen* and explains the decrease when it comes (spec 4.3: trades reduce the queue first, other
decreases are split).

Invariants: ``ahead_e6`` never grows; under the same inputs it is, at any time, largest in the
pessimistic and smallest (0) in the optimistic model. Knows one order's level, no prices, no orders.
"""

from collections import deque

from overround.exchange.models import QueueModel, cancelled_ahead_e6


class QueuePosition:
    """How much of the world must trade or leave before one order is served."""

    __slots__ = ("_model", "_size_e6", "_unexplained", "_unseen", "_window_ns", "ahead_e6")

    def __init__(self, model: QueueModel, window_ns: int) -> None:
        """Wait to join: the first size that is shown is what the order stands behind."""
        self._model = model
        self._window_ns = window_ns
        self._size_e6 = 0
        self.ahead_e6: int | None = None
        """Volume ahead in millionths of a share; ``None`` while the level is not known (no live book)."""
        self._unseen: deque[tuple[int, int]] = deque()
        self._unexplained: deque[tuple[int, int, int]] = deque()

    def printed(self, qty_e6: int, now_ns: int) -> None:
        """Note that ``qty_e6`` traded at the level, to explain a decrease seen before or still to come."""
        while qty_e6 and self._unexplained:
            due_ns, decrease_e6, size_e6 = self._unexplained.popleft()
            explained = min(qty_e6, decrease_e6)
            qty_e6 -= explained
            if decrease_e6 > explained:
                self._unexplained.appendleft((due_ns, decrease_e6 - explained, size_e6))
        if qty_e6:
            self._unseen.append((now_ns + self._window_ns, qty_e6))

    def served(self, qty_e6: int) -> None:
        """Take ``qty_e6`` (at most ``ahead_e6``) that traded off the queue ahead."""
        if self.ahead_e6 is None or not 0 <= qty_e6 <= self.ahead_e6:
            raise ValueError(f"{qty_e6} cannot have traded ahead of {self.ahead_e6}")
        self.ahead_e6 -= qty_e6

    def resized(self, size_e6: int, now_ns: int) -> None:
        """Note the level's size as it is shown now, and settle what has waited long enough."""
        if size_e6 == self._size_e6 and not self._unexplained and self.ahead_e6 is not None:
            return
        if self.ahead_e6 is None:
            self.ahead_e6 = 0 if self._model is QueueModel.OPTIMISTIC else size_e6
        else:
            self._note_decrease(self._size_e6 - size_e6, self._size_e6, now_ns)
        self._size_e6 = size_e6
        self.elapsed(now_ns)

    def _note_decrease(self, decrease_e6: int, size_e6: int, now_ns: int) -> None:
        while self._unseen and self._unseen[0][0] < now_ns:
            self._unseen.popleft()
        while decrease_e6 > 0 and self._unseen:
            until_ns, traded_e6 = self._unseen.popleft()
            explained = min(traded_e6, decrease_e6)
            decrease_e6 -= explained
            if traded_e6 > explained:
                self._unseen.appendleft((until_ns, traded_e6 - explained))
        if decrease_e6 > 0:
            self._unexplained.append((now_ns + self._window_ns, decrease_e6, size_e6))

    def elapsed(self, now_ns: int) -> None:
        """Count decreases that no trade has explained in time as cancels, some of them ahead of us."""
        while self._unexplained and self._unexplained[0][0] < now_ns:
            _, decrease_e6, size_e6 = self._unexplained.popleft()
            if self._model is QueueModel.PROBABILISTIC and self.ahead_e6:
                behind_e6 = max(0, size_e6 - self.ahead_e6)
                self.ahead_e6 -= cancelled_ahead_e6(self.ahead_e6, behind_e6, decrease_e6)
