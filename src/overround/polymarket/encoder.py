"""Market-channel frames as the venue writes them, from integers: for seeded flow, the demo and tests.

Invariants: compact JSON in the venue's key order, best level last, shortest decimals, true hash. What
this module writes, the decoder reads back exactly.
"""

from collections.abc import Mapping, Sequence

import msgspec

from overround.core.events import Side
from overround.core.market import Market
from overround.core.units import format_e6
from overround.polymarket.book_hash import book_hash, side_text


class ChangeOut(msgspec.Struct, frozen=True, kw_only=True):
    """One changed level to be written; prices and quantities in millionths."""

    token_id: str
    side: Side
    px_e6: int
    qty_e6: int
    """New quantity, 0 removes the level."""
    best_bid_px_e6: int
    best_ask_px_e6: int
    hash: str


def state_hash(
    market: Market,
    token_id: str,
    bids: Mapping[int, int],
    asks: Mapping[int, int],
    exchange_ts_ms: int,
    last_trade_text: str,
) -> str:
    """Return the venue's hash of this book. ``last_trade_text`` has three decimals ("0.480") or is ""."""
    return book_hash(
        market.condition_id,
        token_id,
        str(exchange_ts_ms),
        side_text(bids, descending=False),
        side_text(asks, descending=True),
        format_e6(market.min_size_e6),
        format_e6(market.tick_e6),
        market.neg_risk,
        last_trade_text,
    )


def encode_book(
    market: Market,
    token_id: str,
    bids: Mapping[int, int],
    asks: Mapping[int, int],
    exchange_ts_ms: int,
    last_trade_text: str,
    *,
    first: bool = False,
) -> bytes:
    """Return a ``book`` frame; the ``first`` after subscribing carries tick size and last trade price."""
    digest = state_hash(market, token_id, bids, asks, exchange_ts_ms, last_trade_text)
    levels = b'"bids":%b,"asks":%b' % (side_text(bids, descending=False), side_text(asks, descending=True))
    head = f'{{"market":"{market.condition_id}","asset_id":"{token_id}",'.encode()
    when = f'"timestamp":"{exchange_ts_ms}"'.encode()
    digest_text = f'"hash":"{digest}"'.encode()
    if first:
        tail = (
            f',"tick_size":"{format_e6(market.tick_e6)}","event_type":"book",'
            f'"last_trade_price":"{last_trade_text}"}}'
        )
        return b"%b%b,%b,%b%b" % (head, when, digest_text, levels, tail.encode())
    return b'%b%b,%b,%b,"event_type":"book"}' % (head, levels, digest_text, when)


def encode_books(frames: Sequence[bytes]) -> bytes:
    """Return the initial dump: one array of ``book`` frames."""
    return b"[%b]" % b",".join(frames)


def encode_price_change(condition_id: str, changes: Sequence[ChangeOut], exchange_ts_ms: int) -> bytes:
    """Return a ``price_change`` frame."""
    entries = ",".join(
        f'{{"asset_id":"{c.token_id}","price":"{format_e6(c.px_e6)}","size":"{format_e6(c.qty_e6)}",'
        f'"side":"{c.side}","hash":"{c.hash}","best_bid":"{format_e6(c.best_bid_px_e6)}",'
        f'"best_ask":"{format_e6(c.best_ask_px_e6)}"}}'
        for c in changes
    )
    return (
        f'{{"market":"{condition_id}","price_changes":[{entries}],'
        f'"timestamp":"{exchange_ts_ms}","event_type":"price_change"}}'
    ).encode()


def encode_last_trade_price(
    condition_id: str, token_id: str, taker_side: Side, px_e6: int, qty_e6: int, exchange_ts_ms: int
) -> bytes:
    """Return a ``last_trade_price`` frame."""
    return (
        f'{{"market":"{condition_id}","asset_id":"{token_id}","price":"{format_e6(px_e6)}",'
        f'"size":"{format_e6(qty_e6)}","fee_rate_bps":"0","side":"{taker_side}",'
        f'"timestamp":"{exchange_ts_ms}","event_type":"last_trade_price"}}'
    ).encode()


def encode_tick_size_change(
    condition_id: str, token_id: str, old_tick_e6: int, new_tick_e6: int, exchange_ts_ms: int
) -> bytes:
    """Return a ``tick_size_change`` frame."""
    return (
        f'{{"market":"{condition_id}","asset_id":"{token_id}","old_tick_size":"{format_e6(old_tick_e6)}",'
        f'"new_tick_size":"{format_e6(new_tick_e6)}","timestamp":"{exchange_ts_ms}",'
        f'"event_type":"tick_size_change"}}'
    ).encode()


def encode_market_resolved(
    condition_id: str, token_ids: Sequence[str], winner: str, exchange_ts_ms: int
) -> bytes:
    """Return a ``market_resolved`` frame."""
    assets = ",".join(f'"{token_id}"' for token_id in token_ids)
    return (
        f'{{"market":"{condition_id}","assets_ids":[{assets}],"winning_asset_id":"{winner}",'
        f'"timestamp":"{exchange_ts_ms}","event_type":"market_resolved"}}'
    ).encode()
