"""Which resting orders the world fills: by trades it prints, and by prices that move through them.

Rules (spec 4.3): a trade first serves what is ahead at its price, then our orders there; orders priced
better than the trade come before it. A resting BUY YES at a is also reached by takers who buy NO at 1 - a
or more, as both are the same level of the unified book. A trade is counted once, even if it is told for
both tokens.

Invariants: the fills of one print never exceed its volume; volume that the world shows on the other
side is used once (impact memory). Decides only: exchange/exchange.py books the fills.
"""

from collections.abc import Iterator

from overround.core.events import Side, TradePrinted
from overround.core.market import Market
from overround.core.units import E6
from overround.exchange.matching import Resting, crosses
from overround.exchange.models import QueueModel
from overround.exchange.orders import Order, opposite
from overround.exchange.world import Impact, Shown, World


class PassiveFills:
    """Watches the world on behalf of resting orders."""

    def __init__(self, world: World, impact: Impact, model: QueueModel) -> None:
        self._world = world
        self._impact = impact
        self._model = model
        self._last_print: dict[str, tuple[TradePrinted, Side, int]] = {}

    def printed(
        self, market: Market, resting: Resting, trade: TradePrinted, now_ns: int
    ) -> list[tuple[Order, int]]:
        """Return the orders that a trade of the world fills, with quantities, best price first."""
        yes = trade.token_id == market.yes.token_id
        side = opposite(trade.taker_side) if yes else trade.taker_side
        px_e6 = trade.px_e6 if yes else E6 - trade.px_e6
        if self._is_echo(market, trade, side, px_e6):
            return []
        fills: list[tuple[Order, int]] = []
        left_e6, ahead_used_e6 = trade.qty_e6, 0
        for order in resting.side(side):
            if not crosses(side, order.book_px_e6, px_e6):
                break
            if order.book_px_e6 == px_e6:
                front_e6 = self._serve(order, trade.qty_e6, ahead_used_e6, left_e6, now_ns)
                if front_e6 is None:
                    continue
                ahead_used_e6 += front_e6
                left_e6 -= front_e6
            qty_e6 = min(left_e6, order.remaining_qty_e6)
            if qty_e6 and not (order.book_px_e6 == px_e6 and order.queue.ahead_e6):
                left_e6 -= qty_e6
                fills.append((order, qty_e6))
        return fills

    @staticmethod
    def _serve(order: Order, traded_e6: int, used_e6: int, left_e6: int, now_ns: int) -> int | None:
        """Serve the queue ahead; return the volume used beyond ``used_e6``, ``None`` if it is unknown."""
        queue = order.queue
        queue.elapsed(now_ns)
        queue.printed(traded_e6, now_ns)
        if queue.ahead_e6 is None:
            return None
        front_e6 = min(max(0, queue.ahead_e6 - used_e6), left_e6)
        queue.served(min(queue.ahead_e6, used_e6 + front_e6))
        return front_e6

    def _is_echo(self, market: Market, trade: TradePrinted, side: Side, px_e6: int) -> bool:
        """Whether this is the trade printed before, told again in terms of the other token."""
        last = self._last_print.pop(market.condition_id, None)
        if last is not None:
            before, before_side, before_px_e6 = last
            told_as = (before.token_id, before_side, before_px_e6, before.qty_e6, before.exchange_ts_ms)
            mirror = market.mirror(trade.token_id)
            if told_as == (mirror, side, px_e6, trade.qty_e6, trade.exchange_ts_ms):
                return True
        self._last_print[market.condition_id] = (trade, side, px_e6)
        return False

    def moved(self, condition_id: str, resting: Resting, now_ns: int) -> Iterator[tuple[Order, int]]:
        """Update queues to the levels shown now, then yield the orders that the other side has passed."""
        shown = self._world.shown(condition_id)
        if shown is None:
            return
        for side in (Side.BUY, Side.SELL):
            for order in resting.side(side):
                order.queue.resized(shown.size_e6(side, order.book_px_e6), now_ns)
        bid_px_e6, ask_px_e6 = shown.best_bid_px_e6, shown.best_ask_px_e6
        if bid_px_e6 >= ask_px_e6:
            return  # the recording is torn at this moment: nobody could have traded on it
        for side, other_px_e6 in ((Side.BUY, ask_px_e6), (Side.SELL, bid_px_e6)):
            own_px_e6 = resting.best_px_e6(side)
            if own_px_e6 is None or not self._passed(side, own_px_e6, other_px_e6):
                continue
            for order in resting.side(side):
                if qty_e6 := self._use_offered_e6(shown, order, now_ns):
                    yield order, qty_e6

    def _passed(self, side: Side, own_px_e6: int, other_px_e6: int) -> bool:
        if own_px_e6 == other_px_e6:
            return self._model is QueueModel.OPTIMISTIC
        return crosses(side, own_px_e6, other_px_e6)

    def _use_offered_e6(self, shown: Shown, order: Order, now_ns: int) -> int:
        """Return what the other side offers at prices beyond the order's, and mark it as used."""
        side = opposite(order.book_side)
        left_e6 = order.remaining_qty_e6
        for px_e6, size_e6 in self._impact.available(shown, order.condition_id, side, now_ns):
            if not left_e6 or not self._passed(order.book_side, order.book_px_e6, px_e6):
                break
            used_e6 = min(left_e6, size_e6)
            self._impact.take(order.condition_id, side, px_e6, used_e6, now_ns)
            left_e6 -= used_e6
        return order.remaining_qty_e6 - left_e6
