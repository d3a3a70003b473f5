"""Seeded synthetic trading on one neg-risk event: makers, noise traders and informed traders.

Each outcome has a true probability (they sum to 1 and move on news). Makers quote round it, but now and
then the whole event is mispriced for some seconds, so that the asks sum to less than 1 (or the bids to
more) by more than the fees. Noise traders hit either side; informed traders take what is wrong by more
than the fee.

Each call of :meth:`SyntheticFlow.step` is one moment at one market, with its own millisecond, so that a
writer can give every change the true hash of the book it leads to.

Invariants: books are exact, never crossed and on the tick grid; every change is told for both tokens;
the same seed gives the same sequence on every machine. Knows no wire format and no other books.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from overround.core.events import Side
from overround.core.market import Market
from overround.core.units import E6, ceil_to, floor_to
from overround.exchange.models import MS_NS, SECOND_NS, Random, below, between, happens
from overround.exchange.orders import CENT_E6, opposite

SIZES: Final = (
    5,
    5,
    8,
    10,
    15,
    20,
    25,
    40,
    50,
    75,
    100,
    100,
    150,
    200,
    250,
    300,
    500,
    750,
    1000,
    1500,
    2500,
    4990,
)
"""Shares of resting orders."""
TRADE_SIZES: Final = (5, 5, 6, 10, 10, 15, 20, 25, 40, 50, 80, 100, 150, 250, 400, 900)
"""Shares of market orders."""
MIN_LEVELS: Final = 4
"""No market order eats into a side with fewer levels."""
FEW_LEVELS: Final = 8
"""Below this, makers only add."""
MAX_LEVELS: Final = 24
LEAST_PROBABILITY_E6: Final = 20_000


class FlowConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How lively the event is. Chances are in millionths."""

    gap_ms: int = 66
    """Mean time between two moments of one market."""
    half_spread_ticks_e6: int = 500_000
    """Makers' distance from what they believe, in millionths of a tick."""
    news_chance_e6: int = 4_000
    """Chance per moment that true probabilities move."""
    news_most_e6: int = 20_000
    """Largest move of a probability."""
    mispricing_chance_e6: int = 1_000
    """Chance per moment that a mispricing begins."""
    mispricing_least_e6: int = 60_000
    mispricing_most_e6: int = 120_000
    """Sum over all outcomes of what makers are wrong by while it lasts."""
    mispricing_min_ns: int = 1_500 * MS_NS
    mispricing_max_ns: int = 5 * SECOND_NS
    noise_chance_e6: int = 60_000
    """Chance per moment of a noise trade."""
    informed_chance_e6: int = 150_000
    """Chance per moment that an informed trader acts on a wrong price."""


class FlowBook(msgspec.Struct, frozen=True, kw_only=True):
    """A full book of one token; levels as price to quantity, unordered."""

    condition_id: str
    token_id: str
    bids: dict[int, int]
    asks: dict[int, int]
    exchange_ts_ms: int
    last_px_e6: int | None
    """The maker's price of the last trade in terms of YES, ``None`` before the first."""


class FlowLevel(msgspec.Struct, frozen=True, kw_only=True):
    """One level's new quantity (0 removes it), and the top of its book after the whole change."""

    token_id: str
    side: Side
    px_e6: int
    qty_e6: int
    best_bid_px_e6: int
    best_ask_px_e6: int


class FlowChange(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that changed in a market in one moment, each level for both tokens."""

    condition_id: str
    levels: tuple[FlowLevel, ...]
    exchange_ts_ms: int


class FlowTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as the venue prints it: in terms of one token, at the maker's price."""

    condition_id: str
    token_id: str
    taker_side: Side
    px_e6: int
    qty_e6: int
    exchange_ts_ms: int


FlowEvent: TypeAlias = FlowBook | FlowChange | FlowTrade


class _Ladders:
    """The YES book of one market, and what its makers believe."""

    def __init__(self, market: Market, probability_e6: int) -> None:
        self.market = market
        self.probability_e6 = probability_e6
        self.error_e6 = 0
        self.sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self.changed: dict[tuple[Side, int], None] = {}
        self.last_px_e6: int | None = None

    def set(self, side: Side, px_e6: int, qty_e6: int) -> None:
        if qty_e6:
            self.sides[side][px_e6] = qty_e6
        else:
            self.sides[side].pop(px_e6, None)
        self.changed[side, px_e6] = None

    def best_px_e6(self, side: Side) -> int:
        """Return the best price; 0 and 1,000,000 stand for an empty side, as at the venue."""
        prices = self.sides[side]
        return max(prices, default=0) if side is Side.BUY else min(prices, default=E6)

    def quote_px_e6(self, side: Side, half_spread_ticks_e6: int) -> int:
        """Return the best price that makers are ready to show."""
        tick_e6 = self.market.tick_e6
        half_e6 = tick_e6 * half_spread_ticks_e6 // E6
        belief_e6 = max(2 * tick_e6, min(E6 - 2 * tick_e6, self.probability_e6 + self.error_e6))
        if side is Side.BUY:
            return floor_to(belief_e6 - half_e6, tick_e6)
        return ceil_to(belief_e6 + half_e6, tick_e6)

    def book(self, token_id: str, exchange_ts_ms: int) -> FlowBook:
        bids, asks = dict(self.sides[Side.BUY]), dict(self.sides[Side.SELL])
        if token_id == self.market.no.token_id:
            bids, asks = ({E6 - px: qty for px, qty in ladder.items()} for ladder in (asks, bids))
        return FlowBook(
            condition_id=self.market.condition_id,
            token_id=token_id,
            bids=bids,
            asks=asks,
            exchange_ts_ms=exchange_ts_ms,
            last_px_e6=self.last_px_e6,
        )

    def take_changes(self, exchange_ts_ms: int) -> FlowChange | None:
        """Return what changed since the last call, for both tokens."""
        bid, ask = self.best_px_e6(Side.BUY), self.best_px_e6(Side.SELL)
        yes, no = self.market.token_ids()
        levels: list[FlowLevel] = []
        for side, px_e6 in self.changed:
            qty_e6 = self.sides[side].get(px_e6, 0)
            levels.append(
                FlowLevel(
                    token_id=yes,
                    side=side,
                    px_e6=px_e6,
                    qty_e6=qty_e6,
                    best_bid_px_e6=bid,
                    best_ask_px_e6=ask,
                )
            )
            levels.append(
                FlowLevel(
                    token_id=no,
                    side=opposite(side),
                    px_e6=E6 - px_e6,
                    qty_e6=qty_e6,
                    best_bid_px_e6=E6 - ask,
                    best_ask_px_e6=E6 - bid,
                )
            )
        self.changed = {}
        if not levels:
            return None
        return FlowChange(
            condition_id=self.market.condition_id, levels=tuple(levels), exchange_ts_ms=exchange_ts_ms
        )


class SyntheticFlow:
    """The event's traders and books, driven by a virtual clock."""

    def __init__(
        self,
        markets: Sequence[Market],
        probabilities_e6: Sequence[int],
        rng: Random,
        start_ts_ns: int,
        config: FlowConfig | None = None,
    ) -> None:
        """Build the opening books.

        Raises ``ValueError`` unless each market has a probability, at least 2 %, and they sum to 1.
        """
        if len(markets) != len(probabilities_e6) or sum(probabilities_e6) != E6 or len(markets) < 2:
            raise ValueError(f"{len(markets)} markets need as many probabilities that sum to {E6}")
        if min(probabilities_e6) < LEAST_PROBABILITY_E6:
            raise ValueError(f"every probability must be at least {LEAST_PROBABILITY_E6}")
        self._config = config or FlowConfig()
        self._rng = rng
        self._ts_ms = start_ts_ns // MS_NS
        self._right_again_ms = 0
        self._direction = 1
        self._ladders = [_Ladders(m, p) for m, p in zip(markets, probabilities_e6, strict=True)]
        for ladders in self._ladders:
            for side in Side:
                for depth in range(MAX_LEVELS // 2):
                    self._add(ladders, side, depth)
            ladders.changed = {}

    @property
    def ts_ns(self) -> int:
        """The virtual clock."""
        return self._ts_ms * MS_NS

    def opening(self) -> list[FlowBook]:
        """Return every token's book as it is now."""
        return [
            self.book(ladders.market, token)
            for ladders in self._ladders
            for token in ladders.market.token_ids()
        ]

    def book(self, market: Market, token_id: str) -> FlowBook:
        """Return one token's book as it is now. Raises ``KeyError`` for a foreign market."""
        for ladders in self._ladders:
            if ladders.market.condition_id == market.condition_id:
                return ladders.book(token_id, self._ts_ms)
        raise KeyError(market.condition_id)

    def run(self, until_ns: int) -> Iterator[FlowEvent]:
        """Yield what happens up to ``until_ns``; at each event, :meth:`book` shows the books it leads to."""
        while self.ts_ns < until_ns:
            yield from self.step()

    def step(self) -> list[FlowEvent]:
        """Move the clock to the next moment of one market and return what happened: perhaps nothing."""
        mean_ms = max(1, self._config.gap_ms // len(self._ladders))
        self._ts_ms += between(self._rng, 1, 2 * mean_ms - 1)
        self._move_beliefs()
        ladders = self._ladders[below(self._rng, len(self._ladders))]
        trades = self._act(ladders)
        change = ladders.take_changes(self._ts_ms)
        events: list[FlowEvent] = [] if change is None else [change]
        if trades:  # the venue sends whole books after a trade, then the trade
            events.extend(ladders.book(token_id, self._ts_ms) for token_id in ladders.market.token_ids())
            events.extend(trades)
        return events

    # --- beliefs ---------------------------------------------------------------------------------

    def _move_beliefs(self) -> None:
        config, rng = self._config, self._rng
        if happens(rng, config.news_chance_e6):
            winner, loser = (self._ladders[below(rng, len(self._ladders))] for _ in range(2))
            move_e6 = between(rng, 1_000, config.news_most_e6)
            move_e6 = max(0, min(move_e6, loser.probability_e6 - LEAST_PROBABILITY_E6))
            loser.probability_e6 -= move_e6
            winner.probability_e6 += move_e6
        if self._right_again_ms and self._ts_ms >= self._right_again_ms:
            self._misprice(0)
            self._right_again_ms = 0
        elif not self._right_again_ms and happens(rng, config.mispricing_chance_e6):
            self._direction = -self._direction  # both kinds come in any longer run
            self._misprice(
                self._direction * between(rng, config.mispricing_least_e6, config.mispricing_most_e6)
            )
            lasts_ns = between(rng, config.mispricing_min_ns, config.mispricing_max_ns)
            self._right_again_ms = self._ts_ms + lasts_ns // MS_NS

    def _misprice(self, total_e6: int) -> None:
        for ladders in self._ladders:
            ladders.error_e6 = total_e6 // len(self._ladders)

    # --- actions ---------------------------------------------------------------------------------

    def _act(self, ladders: _Ladders) -> list[FlowTrade]:
        if happens(self._rng, self._config.informed_chance_e6):
            for side in Side:
                if self._is_wrong(ladders, side):
                    return self._hit(ladders, side)
        if self._requote(ladders):
            return []
        if happens(self._rng, self._config.noise_chance_e6):
            return self._hit(ladders, self._any_side())
        side = self._any_side()
        if len(ladders.sides[side]) < MAX_LEVELS and (
            len(ladders.sides[side]) < FEW_LEVELS or happens(self._rng, 650_000)
        ):
            depth = 0
            while depth < MAX_LEVELS and happens(self._rng, 700_000):
                depth += 1
            self._add(ladders, side, depth)
        else:
            self._cancel(ladders, side)
        return []

    def _any_side(self) -> Side:
        return Side.BUY if below(self._rng, 2) else Side.SELL

    def _size_e6(self, sizes: Sequence[int]) -> int:
        shares = sizes[below(self._rng, len(sizes))]
        cents = below(self._rng, 100) if happens(self._rng, 250_000) else 0
        return shares * E6 + cents * CENT_E6

    def _add(self, ladders: _Ladders, side: Side, depth: int) -> None:
        """Show an order ``depth`` ticks behind the makers' price, if that is a price."""
        tick_e6 = ladders.market.tick_e6
        away_e6 = -depth * tick_e6 if side is Side.BUY else depth * tick_e6
        px_e6 = ladders.quote_px_e6(side, self._config.half_spread_ticks_e6) + away_e6
        if ladders.market.on_grid(px_e6):
            resting_e6 = ladders.sides[side].get(px_e6, 0)
            qty_e6 = self._size_e6(SIZES)
            ladders.set(side, px_e6, resting_e6 + qty_e6 if resting_e6 + qty_e6 <= 5_000 * E6 else qty_e6)

    def _cancel(self, ladders: _Ladders, side: Side) -> None:
        prices = sorted(ladders.sides[side])
        if prices:
            px_e6 = prices[below(self._rng, len(prices))]
            qty_e6 = ladders.sides[side][px_e6]
            half_e6 = floor_to(qty_e6 // 2, CENT_E6)
            ladders.set(side, px_e6, half_e6 if half_e6 >= 5 * E6 and happens(self._rng, 600_000) else 0)

    def _requote(self, ladders: _Ladders) -> bool:
        """Pull orders at prices the makers no longer believe in, or follow; return whether they did."""
        moved = False
        for side in Side:
            quote_px_e6 = ladders.quote_px_e6(side, self._config.half_spread_ticks_e6)
            for px_e6 in sorted(ladders.sides[side]):
                if px_e6 > quote_px_e6 if side is Side.BUY else px_e6 < quote_px_e6:
                    ladders.set(side, px_e6, 0)
                    moved = True
            behind_e6 = abs(quote_px_e6 - ladders.best_px_e6(side))
            if behind_e6 > ladders.market.tick_e6 and happens(self._rng, 500_000):
                self._add(ladders, side, 0)
                moved = True
        return moved

    def _is_wrong(self, ladders: _Ladders, side: Side) -> bool:
        """Whether the best price of ``side`` is wrong by more than the fee of taking it."""
        px_e6 = ladders.best_px_e6(side)
        if not ladders.sides[side]:
            return False
        rate_e6 = ladders.market.fee.rate_e6 if ladders.market.fee is not None else 0
        fee_e6 = rate_e6 * px_e6 * (E6 - px_e6) // (E6 * E6)
        edge_e6 = px_e6 - ladders.probability_e6 if side is Side.BUY else ladders.probability_e6 - px_e6
        return edge_e6 > fee_e6

    def _hit(self, ladders: _Ladders, side: Side) -> list[FlowTrade]:
        """Take from the best level of ``side`` and print it in terms of either token."""
        if len(ladders.sides[side]) < MIN_LEVELS:
            return []
        px_e6 = ladders.best_px_e6(side)
        resting_e6 = ladders.sides[side][px_e6]
        qty_e6 = min(resting_e6, self._size_e6(TRADE_SIZES))
        ladders.set(side, px_e6, resting_e6 - qty_e6)
        ladders.last_px_e6 = px_e6
        yes = happens(self._rng, 700_000)
        return [
            FlowTrade(
                condition_id=ladders.market.condition_id,
                token_id=ladders.market.yes.token_id if yes else ladders.market.no.token_id,
                taker_side=opposite(side) if yes else side,
                px_e6=px_e6 if yes else E6 - px_e6,
                qty_e6=qty_e6,
                exchange_ts_ms=self._ts_ms,
            )
        ]
