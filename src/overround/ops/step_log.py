"""Says in the log what the steps of a run did, and counts it.

Invariant: what may come in floods (rejected frames, doubted books) is said at most once in ten seconds per
kind, with how many there were; what moves money is said each time.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from overround.core import commands as cmd
from overround.core import events as ev
from overround.core.commands import Command
from overround.core.events import Fact
from overround.core.units import format_e6
from overround.runtime.sequencer import KEPT_FROM_FRAMES, Step

QUIET_NS: Final = 10_000_000_000

_log = structlog.get_logger("overround.run")


class StepLog:
    """Tell :meth:`saw` every step of a run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """Orders, cancels, fills, refused: since the start of the run."""
        self._said_ns: dict[tuple[str, str], int] = {}
        self._unsaid: Counter[tuple[str, str]] = Counter()

    def saw(self, step: Step) -> None:
        """Say and count what a step did."""
        for _, ts_ns, fact in step.facts:
            if not isinstance(fact, KEPT_FROM_FRAMES):  # those are among the rare ones
                self._fact(fact, ts_ns)
        for fact in step.rare:
            self._fact(fact, step.ts_ns)
        for command in step.commands:
            self._command(command)

    def _fact(self, fact: Fact, ts_ns: int) -> None:
        match fact:
            case ev.Filled():
                self.counts["fills"] += 1
                _log.info(
                    "filled",
                    order=fact.client_order_id,
                    px=format_e6(fact.px_e6),
                    qty=format_e6(fact.qty_e6),
                    fee=format_e6(fact.fee_usd_e6),
                    liquidity=fact.liquidity.value,
                )
            case ev.OrderRefused():
                self.counts["refused"] += 1
                _log.warning(
                    "order_refused", order=fact.client_order_id, reason=fact.reason.value, text=fact.text
                )
            case ev.SubmitUnknown():
                _log.error("order_unknown", order=fact.client_order_id, cause=fact.cause)
            case ev.FrameRejected():
                self._seldom(_log.warning, "frame_rejected", fact.reason, ts_ns, detail=fact.detail[:200])
            case ev.BookSuspect():
                self._seldom(_log.warning, "book_suspect", fact.witness, ts_ns, token=fact.token_id)
            case ev.TickSizeChanged():
                _log.info("tick_size_changed", token=fact.token_id, tick=format_e6(fact.tick_e6))
            case ev.MarketResolved():
                _log.info("market_resolved", market=fact.condition_id, winner=fact.winner)
            case _:
                return

    def _command(self, command: Command) -> None:
        match command:
            case cmd.SubmitOrders(orders=orders):
                self.counts["orders"] += len(orders)
                for order in orders:
                    _log.info(
                        "order",
                        order=order.client_order_id,
                        strategy=order.strategy,
                        side=order.side.value,
                        px=format_e6(order.px_e6),
                        qty=format_e6(order.qty_e6),
                        token=order.token_id[-8:],
                    )
            case cmd.CancelOrders(client_order_ids=ids, reason=reason):
                self.counts["cancels"] += len(ids)
                _log.info("cancel", orders=len(ids), reason=reason)
            case cmd.PlanBasket(basket=basket):
                _log.info("basket", key=basket.key, legs=len(basket.legs))
            case cmd.Notify(severity=severity, code=code, text=text):
                (_log.error if severity == "error" else _log.warning)(code, text=text)
            case cmd.StopRun(reason=reason):
                _log.error("stop_asked", reason=reason)
            case _:
                return

    def _seldom(
        self, say: Callable[..., object], event: str, reason: str, ts_ns: int, **details: object
    ) -> None:
        kind = (event, reason)
        self.counts[event] += 1
        self._unsaid[kind] += 1
        if ts_ns - self._said_ns.get(kind, -QUIET_NS) >= QUIET_NS:
            self._said_ns[kind] = ts_ns
            say(event, reason=reason, times=self._unsaid.pop(kind), **details)
