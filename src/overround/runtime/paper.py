"""Paper trading: the simulated venue in the place of the gateway.

The world it trades against is the engine's own books, so paper orders meet exactly what strategies see,
after the latency that is configured. The account continues over restarts from the journal; orders that
rested do not, because no venue kept them.

Invariants: the venue is asked only about markets in which something of ours rests.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from overround.core.commands import Command
from overround.core.events import Fact, OrderCanceled, Settlement, SettlementChanged, TradePrinted
from overround.exchange.models import Random, SimulationConfig
from overround.exchange.venue import ACCOUNT, SimulatedVenue
from overround.exchange.world import World
from overround.runtime.ports import AccountState

RESTARTED: Final = "the paper venue keeps no orders over a restart"


class PaperVenue:
    """Implements :class:`overround.runtime.ports.Venue` on a simulated one."""

    def __init__(self, world: World, config: SimulationConfig, rng: Random) -> None:
        self._world = world
        self._config = config
        self._rng = rng
        self._venue: SimulatedVenue | None = None
        self._watched: dict[str, None] = {}

    @property
    def simulated(self) -> SimulatedVenue:
        """The exchange account. Raises ``RuntimeError`` before :meth:`take_over`."""
        if self._venue is None:
            raise RuntimeError("the account was not taken over yet")
        return self._venue

    def take_over(self, account: AccountState) -> list[Fact]:
        """Open the account with what the journal says; cancel what rested, settle what was matched."""
        config = msgspec.structs.replace(self._config, starting_cash_usd_e6=account.cash_usd_e6)
        self._venue = SimulatedVenue(self._world, config, self._rng, account.holdings_e6.items())
        facts: list[Fact] = [
            OrderCanceled(order.client_order_id, order.remaining_qty_e6, RESTARTED)
            for order in account.open_orders
        ]
        facts += [SettlementChanged(trade_id, Settlement.CONFIRMED) for trade_id in account.unsettled]
        return facts

    def submit(self, commands: Sequence[Command], now_ns: int) -> None:
        """Send commands; they arrive after the configured latency."""
        self.simulated.submit(commands, now_ns)

    def advance(self, now_ns: int) -> list[tuple[int, Fact]]:
        """Return the facts that are due."""
        venue = self._venue
        due_ns = None if venue is None else venue.next_due_ns()
        if venue is None or due_ns is None or due_ns > now_ns:
            return []
        facts = venue.advance(now_ns)
        self._watch(venue)
        return facts

    def watched(self) -> Collection[str]:
        """Return the tokens of every market in which an order rests."""
        return self._watched

    def observe(self, touched: Sequence[str], trades: Sequence[TradePrinted], now_ns: int) -> None:
        """Let resting orders meet what a frame changed."""
        self.simulated.observe(touched, trades, now_ns)

    def next_due_ns(self) -> int | None:
        """Return when something is due, ``None`` for not by itself."""
        return None if self._venue is None else self._venue.next_due_ns()

    def _watch(self, venue: SimulatedVenue) -> None:
        tokens: dict[str, None] = {}
        for order in venue.exchange.open_orders(ACCOUNT):
            market = self._world.market_of(order.request.token_id)
            if market is not None:
                tokens |= dict.fromkeys(market.token_ids())
        self._watched = tokens
