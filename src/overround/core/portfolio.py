"""What we own, by double entry.

Every movement is an entry of postings whose amounts cancel out per commodity (dollars, or a token).
Accounts are the strategies, the common ``pool`` of deposited cash, and the outside world: ``market``
(counterparties), ``fees``, ``funding``. Cash is what the pool and the strategies hold in dollars.

A match is not a settlement: a trade is entered when MATCHED, remembered until CONFIRMED, and reversed by
an entry of its own when FAILED. Invariants: balances of every commodity sum to zero; a trade id is
entered once and reversed at most once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from overround.core.commands import OrderIntent
from overround.core.events import Filled, Settlement, Side
from overround.core.market import Market
from overround.core.units import E6

USD: Final = "usd"
POOL: Final = "pool"
MARKET: Final = "market"
FEES: Final = "fees"
FUNDING: Final = "funding"
OUTSIDE: Final = frozenset({MARKET, FEES, FUNDING})
RESERVED: Final = OUTSIDE | {POOL}
"""Accounts that no strategy may be named like."""


MAX_SETTLED_IDS: Final = 200_000
"""Ids of final trades that are remembered against repetition; the oldest is forgotten first."""


class Posting(msgspec.Struct, frozen=True):
    """One side of an entry: dollars or shares (in millionths) of ``commodity`` into ``account``."""

    account: str
    commodity: str
    amount_e6: int


class Trade(msgspec.Struct):
    """A trade on its way to settlement."""

    client_order_id: str
    strategy: str
    token_id: str
    qty_e6: int
    """Signed: positive for a purchase."""
    fee_usd_e6: int
    postings: tuple[Posting, ...]
    status: Settlement = Settlement.MATCHED


class Portfolio:
    """Balances, trades under way, and the questions risk and reports ask."""

    def __init__(self) -> None:
        self._balances: dict[tuple[str, str], int] = {}
        self._trades: dict[str, Trade] = {}
        self._settled: dict[str, Settlement] = {}
        self._fees: dict[str, int] = {}
        self._incoming: dict[tuple[str, str], int] = {}
        """Unconfirmed purchases by (strategy, token)."""
        self._cash_e6 = 0
        self.revision = 0
        """Another number whenever a balance or an unconfirmed purchase changed."""

    # --- entries ---------------------------------------------------------------------------------

    def enter(self, postings: Sequence[Posting]) -> None:
        """Post an entry.

        Raises ``ValueError`` if it does not balance per commodity; nothing is posted then.
        """
        sums: dict[str, int] = {}
        for posting in postings:
            sums[posting.commodity] = sums.get(posting.commodity, 0) + posting.amount_e6
        if any(sums.values()):
            raise ValueError(f"unbalanced entry: {sums}")
        self.revision += 1
        for posting in postings:
            key = (posting.account, posting.commodity)
            self._balances[key] = self._balances.get(key, 0) + posting.amount_e6
            if posting.commodity == USD and posting.account not in OUTSIDE:
                self._cash_e6 += posting.amount_e6

    def deposit(self, usd_e6: int) -> None:
        """Move cash from outside into the pool."""
        self.enter((Posting(FUNDING, USD, -usd_e6), Posting(POOL, USD, usd_e6)))

    def has_trade(self, trade_id: str) -> bool:
        """Whether a match was entered under this id, whatever became of it."""
        return trade_id in self._trades or trade_id in self._settled

    def fill(self, intent: OrderIntent, fact: Filled) -> bool:
        """Enter a match. Return ``False``, and change nothing, if its trade id was entered before."""
        if self.has_trade(fact.trade_id):
            return False
        sign = 1 if intent.side is Side.BUY else -1
        strategy, token_id = intent.strategy, intent.token_id
        postings = (
            Posting(strategy, USD, -sign * fact.usd_e6),
            Posting(MARKET, USD, sign * fact.usd_e6),
            Posting(strategy, token_id, sign * fact.qty_e6),
            Posting(MARKET, token_id, -sign * fact.qty_e6),
            Posting(strategy, USD, -fact.fee_usd_e6),
            Posting(FEES, USD, fact.fee_usd_e6),
        )
        self.enter(postings)
        if sign > 0:
            self._count_incoming(strategy, token_id, fact.qty_e6)
        self._fees[strategy] = self._fees.get(strategy, 0) + fact.fee_usd_e6
        self._trades[fact.trade_id] = Trade(
            intent.client_order_id, strategy, token_id, sign * fact.qty_e6, fact.fee_usd_e6, postings
        )
        return True

    def settle(self, trade_id: str, status: Settlement) -> bool:
        """Move a trade on; FAILED reverses it. Return ``False`` if the trade is unknown or already final."""
        trade = self._trades.get(trade_id)
        if trade is None:
            return False
        trade.status = status
        if status is Settlement.FAILED:
            self.enter(tuple(Posting(p.account, p.commodity, -p.amount_e6) for p in trade.postings))
            self._fees[trade.strategy] -= trade.fee_usd_e6
        if status in (Settlement.FAILED, Settlement.CONFIRMED):
            if trade.qty_e6 > 0:
                self._count_incoming(trade.strategy, trade.token_id, -trade.qty_e6)
            del self._trades[trade_id]
            self._settled[trade_id] = status
            if len(self._settled) > MAX_SETTLED_IDS:
                del self._settled[next(iter(self._settled))]
        return True

    def _count_incoming(self, strategy: str, token_id: str, qty_e6: int) -> None:
        key = (strategy, token_id)
        self._incoming[key] = self._incoming.get(key, 0) + qty_e6
        self.revision += 1

    # --- questions -------------------------------------------------------------------------------

    def cash_e6(self) -> int:
        """Return all our dollars in millionths, matched trades included."""
        return self._cash_e6

    def cash_flow_e6(self, strategy: str) -> int:
        """Return the dollars (in millionths) a strategy has taken in (negative: paid out), fees included."""
        return self._balances.get((strategy, USD), 0)

    def fees_e6(self) -> int:
        """Return all fees paid, in millionths of a dollar."""
        return self._balances.get((FEES, USD), 0)

    def fees_of_e6(self, strategy: str) -> int:
        """Return the fees a strategy has paid, in millionths of a dollar."""
        return self._fees.get(strategy, 0)

    def position_e6(self, strategy: str, token_id: str) -> int:
        """Return the shares (in millionths) a strategy holds of a token, matched trades included."""
        return self._balances.get((strategy, token_id), 0)

    def settled_e6(self, strategy: str, token_id: str) -> int:
        """Return the shares (in millionths) a strategy holds for certain: without unconfirmed purchases.

        The venue refuses to sell shares that are not on chain yet, and a match may still fail.
        """
        key = (strategy, token_id)
        return self._balances.get(key, 0) - self._incoming.get(key, 0)

    def positions(self) -> dict[tuple[str, str], int]:
        """Return every non-zero position in millionths of a share by (strategy, token), in a fixed order."""
        return {
            key: amount
            for key, amount in sorted(self._balances.items())
            if amount and key[1] != USD and key[0] not in OUTSIDE
        }

    def holding_e6(self, token_id: str) -> int:
        """Return the shares (in millionths) of a token over all strategies, matched trades included."""
        return -self._balances.get((MARKET, token_id), 0)

    def holdings(self) -> Iterator[tuple[str, int]]:
        """Yield every token ever traded with its shares (in millionths) over all strategies."""
        for (account, commodity), amount in self._balances.items():
            if account == MARKET and commodity != USD:
                yield commodity, -amount

    def unsettled_e6(self, token_id: str) -> int:
        """Return the millionths of a share that are matched but not confirmed (signed)."""
        return sum(trade.qty_e6 for trade in self._trades.values() if trade.token_id == token_id)

    def unsettled_trades(self) -> Mapping[str, Trade]:
        """Return trades that are neither confirmed nor failed, by trade id."""
        return self._trades

    def balances(self) -> dict[tuple[str, str], int]:
        """Return all balances in a fixed order (for digests and reports)."""
        return dict(sorted(self._balances.items()))


def marked_value_e6(
    positions: Mapping[str, int], markets: Sequence[Market], bid_px_e6: Callable[[str], int | None]
) -> tuple[int, tuple[str, ...]]:
    """Return the dollars (in millionths) that long ``positions`` would bring, and the tokens without a price.

    A pair of YES and NO is worth one dollar (it can be merged); what is left over is valued at its bid,
    a resolved token at its payout. A token whose bid is unknown is reported, not valued.
    """
    value_e6 = 0
    unpriced: list[str] = []
    for market in markets:
        yes, no = market.token_ids()
        held = {yes: positions.get(yes, 0), no: positions.get(no, 0)}
        if market.winner is not None:
            value_e6 += held.get(market.winner, 0)
            continue
        pairs = max(0, min(held.values()))
        value_e6 += pairs
        for token_id, qty_e6 in held.items():
            rest = qty_e6 - pairs
            if not rest:
                continue
            px_e6 = bid_px_e6(token_id)
            if px_e6 is None:
                unpriced.append(token_id)
            else:
                value_e6 += px_e6 * rest // E6
    return value_e6, tuple(unpriced)
