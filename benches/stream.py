"""A deterministic synthetic market-channel stream: exact books, true hashes, real wire text.

500 binary markets = 1,000 tokens in 50 groups of 10 outcomes; Zipf-like activity; ticks 0.01 (68 %), 0.001
(27 %), 0.0001, 0.005, 0.0025; sizes 40 % whole, 50 % two decimals, 10 % six decimals. 1,000 opening
snapshots, then frames: 80 % ``price_change`` with two mirrored entries, 10 % ``book`` of up to 60 levels,
6 % ``last_trade_price``, 3.9 % ``best_bid_ask``, 0.1 % ``tick_size_change`` with the two snapshots after it.
"""

from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

import msgspec

from overround.core.events import Side
from overround.core.market import FREE, Market, Token
from overround.core.units import E6, format_e6
from overround.polymarket.encoder import (
    ChangeOut,
    encode_book,
    encode_last_trade_price,
    encode_price_change,
    encode_tick_size_change,
    state_hash,
)

START_TS_MS = 1_795_000_000_000
FRAMES_PER_SECOND = 5_000
FEED_DELAY_NS = 20_000_000
OUTCOMES = 10
TICKS = ((10_000, 0.68), (1_000, 0.27), (100, 0.02), (5_000, 0.02), (2_500, 0.01))
HALF_DEPTH = 30


@dataclass
class MarketState:
    """The true books of one market."""

    market: Market
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    last_trade: str = "0.500"
    ts_ms: int = START_TS_MS

    def sides(self, token_id: str) -> tuple[dict[int, int], dict[int, int]]:
        """Return (bids, asks) as seen by one token."""
        if token_id == self.market.yes.token_id:
            return self.bids, self.asks
        return {E6 - p: q for p, q in self.asks.items()}, {E6 - p: q for p, q in self.bids.items()}


@dataclass
class Stream:
    """The markets and the frames; ``ts_ns[i]`` is the receive time of ``frames[i]``."""

    markets: list[Market]
    frames: list[bytes]
    ts_ns: list[int]
    opening: int
    """How many frames are opening snapshots."""
    tops: dict[str, tuple[int, int]]
    """True best bid and ask of each token at the end."""


class Generator:
    """Writes one stream from one seed."""

    def __init__(self, markets: int, seed: int) -> None:
        self._rng = Random(seed)
        self._states = [MarketState(self._market(i)) for i in range(markets)]
        weights = [1 / (rank + 3) for rank in range(markets)]
        self._rng.shuffle(weights)
        self._weights = list(accumulate(weights))
        self._frames: list[bytes] = []
        self._ts_ns: list[int] = []
        self._now_us = START_TS_MS * 1000

    def _market(self, index: int) -> Market:
        rng = self._rng
        tick_e6 = rng.choices([t for t, _ in TICKS], [w for _, w in TICKS])[0]
        yes, no = (str(rng.randrange(10**76, 10**77)) for _ in range(2))
        return Market(
            condition_id=f"0x{rng.getrandbits(256):064x}",
            yes=Token(yes, "Yes"),
            no=Token(no, "No"),
            slug=f"market-{index}",
            question=f"Market {index}?",
            tick_e6=tick_e6,
            min_size_e6=5 * E6,
            neg_risk=True,
            active=True,
            closed=False,
            accepting_orders=True,
            as_of_ms=0,
            fee=FREE,
            event_id=f"event-{index // OUTCOMES}",
        )

    def _size(self) -> int:
        rng = self._rng
        draw = rng.random()
        if draw < 0.4:
            return rng.randint(1, 20_000) * E6
        if draw < 0.9:
            return rng.randint(100, 2_000_000) * 10_000
        return rng.randint(E6, 20_000 * E6)

    def _fill(self, state: MarketState) -> None:
        tick = state.market.tick_e6
        grid = E6 // tick
        mid = min(max(int(grid * self._rng.betavariate(0.8, 4)), 2), grid - 2)
        state.bids = {p * tick: self._size() for p in range(max(1, mid - HALF_DEPTH), mid)}
        state.asks = {p * tick: self._size() for p in range(mid + 1, min(grid, mid + 1 + HALF_DEPTH))}

    def _send(self, frame: bytes, ts_ms: int) -> None:
        self._frames.append(frame)
        self._ts_ns.append(ts_ms * 1_000_000 + FEED_DELAY_NS)

    def _tick_time(self, state: MarketState) -> int:
        self._now_us += int(self._rng.expovariate(FRAMES_PER_SECOND / 1e6))
        # Changes of one market and millisecond would be one batch with one hash.
        state.ts_ms = max(self._now_us // 1000, state.ts_ms + 1)
        return state.ts_ms

    def _book(self, state: MarketState, token_id: str, *, first: bool = False) -> None:
        ts_ms = self._tick_time(state)
        bids, asks = state.sides(token_id)
        self._send(
            encode_book(state.market, token_id, bids, asks, ts_ms, state.last_trade, first=first), ts_ms
        )

    def _change(self, state: MarketState) -> None:
        rng = self._rng
        tick = state.market.tick_e6
        is_bid = rng.random() < 0.5
        side, other = (state.bids, state.asks) if is_bid else (state.asks, state.bids)
        step = -tick if is_bid else tick
        best = (max if is_bid else min)(side) if side else None
        far = (min(other) - tick) if is_bid and other else (max(other) + tick) if other else E6 // 2
        start = (
            best - step if best is not None and rng.random() < 0.1 else (best if best is not None else far)
        )
        px = start + step * int(rng.expovariate(0.15))
        if (
            not 0 < px < E6
            or px in other
            or (other and ((px >= min(other)) if is_bid else (px <= max(other))))
        ):
            px = best if best is not None else far
        if not 0 < px < E6 or px % tick:
            return
        qty = 0 if px in side and len(side) > 5 and rng.random() < 0.35 else self._size()
        if qty:
            side[px] = qty
        else:
            del side[px]
        ts_ms = self._tick_time(state)
        changes = []
        for token in (state.market.yes, state.market.no):
            bids, asks = state.sides(token.token_id)
            mirrored = token is state.market.no
            changes.append(
                ChangeOut(
                    token_id=token.token_id,
                    side=Side.BUY if is_bid != mirrored else Side.SELL,
                    px_e6=E6 - px if mirrored else px,
                    qty_e6=qty,
                    best_bid_px_e6=max(bids, default=0),
                    best_ask_px_e6=min(asks, default=E6),
                    hash=state_hash(state.market, token.token_id, bids, asks, ts_ms, state.last_trade),
                )
            )
        if rng.random() < 0.5:
            changes.reverse()
        self._send(encode_price_change(state.market.condition_id, changes, ts_ms), ts_ms)

    def _trade(self, state: MarketState) -> None:
        ts_ms = self._tick_time(state)
        px = self._rng.choice([max(state.bids, default=E6 // 2), min(state.asks, default=E6 // 2)])
        if px % 1000 == 0:
            state.last_trade = f"0.{px // 1000:03d}"
        token_id = state.market.yes.token_id
        frame = encode_last_trade_price(
            state.market.condition_id, token_id, Side.BUY, px, self._size(), ts_ms
        )
        self._send(frame, ts_ms)

    def _best(self, state: MarketState) -> None:
        ts_ms = self._tick_time(state)
        bid, ask = max(state.bids, default=0), min(state.asks, default=E6)
        frame = (
            f'{{"market":"{state.market.condition_id}","asset_id":"{state.market.yes.token_id}",'
            f'"best_bid":"{format_e6(bid)}","best_ask":"{format_e6(ask)}","spread":"{format_e6(ask - bid)}",'
            f'"timestamp":"{ts_ms}","event_type":"best_bid_ask"}}'
        )
        self._send(frame.encode(), ts_ms)

    def _tick_change(self, state: MarketState) -> None:
        market = state.market
        tick = 1_000 if market.tick_e6 == 10_000 else 10_000
        ts_ms = self._tick_time(state)
        frame = encode_tick_size_change(market.condition_id, market.yes.token_id, market.tick_e6, tick, ts_ms)
        self._send(frame, ts_ms)
        state.market = msgspec.structs.replace(market, tick_e6=tick)
        self._fill(state)
        for token_id in market.token_ids():
            self._book(state, token_id, first=True)

    def run(self, frames: int) -> Stream:
        """Return a stream of opening snapshots and ``frames`` further frames."""
        markets = [state.market for state in self._states]
        for state in self._states:
            self._fill(state)
            for token_id in state.market.token_ids():
                self._book(state, token_id, first=True)
        opening = len(self._frames)
        while len(self._frames) < opening + frames:
            state = self._states[bisect(self._weights, self._rng.random() * self._weights[-1])]
            draw = self._rng.random()
            if draw < 0.8:
                self._change(state)
            elif draw < 0.9:
                self._book(state, self._rng.choice(state.market.token_ids()))
            elif draw < 0.96:
                self._trade(state)
            elif draw < 0.999:
                self._best(state)
            else:
                self._tick_change(state)
        tops = {}
        for state in self._states:
            for token_id in state.market.token_ids():
                bids, asks = state.sides(token_id)
                tops[token_id] = (max(bids, default=0), min(asks, default=E6))
        return Stream(markets, self._frames, self._ts_ns, opening, tops)


def make_stream(frames: int = 100_000, markets: int = 500, seed: int = 1) -> Stream:
    """Return the benchmark stream."""
    return Generator(markets, seed).run(frames)
