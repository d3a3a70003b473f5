"""An engine with a strategy that wishes what it is told, and a venue that answers as it is told."""

from collections.abc import Callable, Mapping, Sequence

from overround.core import events as ev
from overround.core.books import Books
from overround.core.commands import CancelOrders, Command, OrderIntent, SubmitOrders
from overround.core.engine import Engine
from overround.core.market import Market, MarketEvent
from overround.core.risk import RiskLimits
from overround.core.strategy import Decision, Strategy, View
from overround.core.units import E6
from tests.core.worlds import GENERATION, STREAM, Levels, market, set_book


class Scripted:
    """Wishes what the script says, scope by scope; ``None`` where it says nothing."""

    def __init__(self, name: str = "s", by_event: Mapping[str, Sequence[str]] | None = None) -> None:
        self.name = name
        self.script: dict[str, Decision | Callable[[View], Decision | None]] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.observed: list[ev.Fact] = []
        self.view: View | None = None
        self._by_event = by_event

    def scopes(
        self, markets: Mapping[str, Market], events: Mapping[str, MarketEvent]
    ) -> Mapping[str, Sequence[str]]:
        if self._by_event is None:
            return {name: of.token_ids() for name, of in markets.items() if of.active}
        return {
            scope: [token for name in names if name in markets for token in markets[name].token_ids()]
            for scope, names in self._by_event.items()
        }

    def decide(self, view: View, scope: str) -> Decision | None:
        self.asked.append((scope, view.seq, view.ts_ns))
        self.view = view
        wish = self.script.get(scope)
        return wish(view) if callable(wish) else wish

    def observe(self, fact: ev.Fact, ts_ns: int) -> None:
        self.observed.append(fact)


class ScriptedDecoder:
    """Frames are names of facts that the test put down."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.facts: dict[bytes, list[ev.Fact]] = {}

    def ingest(self, frame: bytes, ts_ns: int, stream: int, generation: int) -> list[ev.Fact] | None:
        return self.facts.get(frame)


class Driver:
    """Gives an engine its inputs in order and keeps the journal."""

    def __init__(self, *strategies: Strategy, limits: RiskLimits | None = None) -> None:
        self.decoders: list[ScriptedDecoder] = []
        self.strategies = strategies
        self.limits = limits or RiskLimits()
        self.engine = Engine(strategies, self._decoder, self.limits)
        self.journal: list[tuple[int, ev.Fact | Command]] = []
        self.commands: list[Command] = []
        self.seq = 0
        self.now = 0
        self._trades = 0

    def _decoder(self, books: Books) -> ScriptedDecoder:
        self.decoders.append(ScriptedDecoder(books))
        return self.decoders[-1]

    # --- inputs ----------------------------------------------------------------------------------

    def fact(self, *facts: ev.Fact) -> None:
        for fact in facts:
            self.seq += 1
            self.journal.append((self.now, fact))
            self.engine.on_fact(fact, self.now)

    def decide(self) -> list[Command]:
        self.seq += 1
        commands = self.engine.decide(self.seq, self.now)
        self.journal += [(self.now, command) for command in commands]
        self.commands += commands
        return commands

    def after(self, ns: int, *facts: ev.Fact) -> list[Command]:
        """Let time pass, tell facts, fire a timer, and return what is decided."""
        self.now += ns
        self.fact(*facts)
        self.engine.on_fact(ev.TimerFired("tick"), self.now)
        return self.decide()

    def start(self, *markets: Market, cash_e6: int = 1_000 * E6) -> list[Command]:
        """List markets, bring their books to life and open the gate."""
        self.fact(ev.RunStarted("r", "v", "test"), ev.Deposited(cash_e6, "test"))
        self.fact(*(ev.MarketListed(each) for each in markets or (market(),)))
        tokens = tuple(self.engine.books.by_token)
        self.fact(ev.StreamUp(STREAM, GENERATION, tokens), ev.Reconciled(0))
        for each in markets or (market(),):
            self.book(each, {400_000: 1_000 * E6}, {600_000: 1_000 * E6})
        return self.decide()

    def book(self, of: Market, bids: Levels, asks: Levels) -> None:
        """Write a snapshot, as a frame would."""
        self.now += 1_000_000
        set_book(self.engine.books, of, bids, asks, self.now // 1_000_000)

    # --- the venue's answers ---------------------------------------------------------------------

    def accept(self, *orders: OrderIntent) -> None:
        self.fact(
            *(ev.OrderAccepted(order.client_order_id, f"v-{order.client_order_id}") for order in orders)
        )

    def fill(self, order: OrderIntent, qty_e6: int | None = None, *, confirmed: bool = True) -> str:
        """Fill an order at its limit and settle the trade unless told otherwise; return the trade's id."""
        self._trades += 1
        qty = order.qty_e6 if qty_e6 is None else qty_e6
        usd = order.px_e6 * qty // E6
        name = f"t{self._trades}"
        self.fact(ev.Filled(name, order.client_order_id, order.px_e6, qty, usd, 0, ev.Liquidity.TAKER))
        if confirmed:
            self.fact(ev.SettlementChanged(name, ev.Settlement.CONFIRMED))
        return name

    def kill(self, order: OrderIntent) -> None:
        self.fact(ev.OrderRefused(order.client_order_id, ev.RefusalReason.NOT_FILLABLE))

    def canceled(self, *client_order_ids: str) -> None:
        for name in client_order_ids:
            rest = self.engine.orders.known(name).remaining_qty_e6
            self.fact(ev.OrderCanceled(name, rest))

    # --- a new process ---------------------------------------------------------------------------

    def folded(self) -> Engine:
        """Return a fresh engine that folded the journal."""
        engine = Engine(self.strategies, ScriptedDecoder, self.limits)
        for ts_ns, record in self.journal:
            if isinstance(record, ev.FactBase):
                engine.on_fact(record, ts_ns)
            else:
                engine.apply(record, ts_ns)
        return engine


def submitted(commands: Sequence[Command]) -> list[OrderIntent]:
    return [order for command in commands if isinstance(command, SubmitOrders) for order in command.orders]


def cancels(commands: Sequence[Command]) -> list[str]:
    return [
        name for command in commands if isinstance(command, CancelOrders) for name in command.client_order_ids
    ]
