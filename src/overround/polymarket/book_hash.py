"""The venue's book hash: a SHA-1 over one exact text, so one wrong level anywhere changes it.

The text is the compact JSON object of ten fields in a fixed order (``market, asset_id, timestamp, hash:"",
bids, asks, min_order_size, tick_size, neg_risk, last_trade_price``) with prices, sizes and level order as
the venue writes them: bids ascending, asks descending, the best level last. Source: the venue's client
library; measured to hold for every REST and WebSocket book recorded since 2025-12.

A ``book`` frame carries the hash of itself; a price change carries the hash of the whole book after *all*
changes of the same (market, timestamp). ``last_trade_price`` is the maker's price of the last match with
three decimals and is often published only after the book that hashed it: hence :func:`hash_prefix`, whose
state is copied for each candidate.

Invariants: nothing is normalised here ("0.480" and "0.48" hash differently). Knows no books and no frames.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from overround.core.units import E6

if TYPE_CHECKING:
    from hashlib import _Hash

NO_LEVELS = b"[]"
"""Text of an empty side."""

UNTRADED = "0.5"
"""``last_trade_price`` of a market that never traded, as the REST interface gives it."""


def hash_prefix(
    market: str,
    asset_id: str,
    timestamp: str,
    bids_text: bytes,
    asks_text: bytes,
    min_order_size: str,
    tick_size: str,
    *,
    neg_risk: bool,
) -> "_Hash":
    """Return the SHA-1 state just before the last trade price; finish it with :func:`finish`.

    ``bids_text`` and ``asks_text`` are the JSON arrays exactly as sent, without blanks. The other texts
    must not need JSON escapes (ids and decimals never do).
    """
    head = f'{{"market":"{market}","asset_id":"{asset_id}","timestamp":"{timestamp}","hash":"","bids":'
    flag = "true" if neg_risk else "false"
    tail = (
        f',"min_order_size":"{min_order_size}","tick_size":"{tick_size}",'
        f'"neg_risk":{flag},"last_trade_price":"'
    )
    return sha1(
        b"".join((head.encode(), bids_text, b',"asks":', asks_text, tail.encode())), usedforsecurity=False
    )


def finish(prefix: "_Hash", last_trade_price: str) -> str:
    """Return the hash (lower-case hex) for one candidate of the last trade price; ``prefix`` is unchanged."""
    state = prefix.copy()
    state.update(last_trade_price.encode() + b'"}')
    return state.hexdigest()


def book_hash(  # noqa: PLR0913, PLR0917 - the fields of the venue's record, in its order
    market: str,
    asset_id: str,
    timestamp: str,
    bids_text: bytes,
    asks_text: bytes,
    min_order_size: str,
    tick_size: str,
    neg_risk: bool,
    last_trade_price: str,
) -> str:
    """Return the venue's hash of one book, lower-case hex."""
    prefix = hash_prefix(
        market, asset_id, timestamp, bids_text, asks_text, min_order_size, tick_size, neg_risk=neg_risk
    )
    return finish(prefix, last_trade_price)


def levels_text(levels: Iterable[tuple[str, str]]) -> bytes:
    """Return the compact JSON array of (price text, size text) pairs in the order given."""
    parts = [f'{{"price":"{price}","size":"{size}"}}' for price, size in levels]
    return f"[{','.join(parts)}]".encode()


def side_text(side: Mapping[int, int], *, descending: bool) -> bytes:
    """Return the venue's text of one side held as price to quantity, both in millionths.

    Bids are ascending, asks ``descending``. The venue writes the shortest decimal ("0.1", "339", "12.5").
    """
    if not side:
        return NO_LEVELS
    return b"[{%b}]" % b"},{".join([_level(px, side[px]) for px in sorted(side, reverse=descending)])


class _PriceTexts(dict[int, bytes]):
    """The text of a level up to its quantity, by price in millionths: never more than the grid has."""

    def __missing__(self, px_e6: int) -> bytes:
        text = self[px_e6] = b'"price":"%b","size":"' % _shortest(px_e6)
        return text


_PRICE_TEXTS: Final = _PriceTexts()
_CENT_TEXTS: Final = tuple((b".%02d" % cents).rstrip(b"0") + b'"' for cents in range(100))
"""The end of a level whose quantity has two decimals; never used for none."""


def level_text(px_e6: int, qty_e6: int) -> bytes:
    """Return the venue's text of one level without its braces."""
    frac = qty_e6 % E6
    if not frac:
        return b'%b%d"' % (_PRICE_TEXTS[px_e6], qty_e6 // E6)
    if not frac % 10_000:
        return b"%b%d%b" % (_PRICE_TEXTS[px_e6], qty_e6 // E6, _CENT_TEXTS[frac // 10_000])
    return (b"%b%d.%06d" % (_PRICE_TEXTS[px_e6], qty_e6 // E6, frac)).rstrip(b"0") + b'"'


# Most levels of a book are those of its last hash.
_level: Final = lru_cache(maxsize=1 << 16)(level_text)


def _shortest(value_e6: int) -> bytes:
    whole, frac = divmod(value_e6, E6)
    if not frac:
        return b"%d" % whole
    return (b"%d.%06d" % (whole, frac)).rstrip(b"0")


@lru_cache(maxsize=1024)
def last_trade_candidates(px_e6: int) -> tuple[str, str]:
    """Return the two texts the last trade price can have after a print at ``px_e6``: p and 1 - p.

    Three decimals, as the venue writes it in the hash of a ``book`` frame ("0.870"). Raises ``ValueError``
    for a price that is not a whole number of thousandths, whose text is not known.
    """
    mills, rest = divmod(px_e6, 1000)
    if rest:
        raise ValueError(f"no three-decimal text: {px_e6}")
    return f"0.{mills:03d}" if mills < 1000 else "1.000", f"0.{1000 - mills:03d}" if mills else "1.000"
