"""One fixed history, run in a process of its own: prints the digests of its commands and of its end state."""

from overround.core import events as ev
from overround.core.book import BookState
from overround.core.commands import CancelOrders, MoveBasket, PlanBasket, RequestSnapshot, SubmitOrders
from overround.core.orders import OrderState
from overround.core.risk import RiskLimits
from overround.core.strategy import ChurnLimits, Decision, Quote
from tests.core.engines import Driver, Scripted, submitted
from tests.core.worlds import GT5_BOOKS, SECOND, gt5_basket, market


def run() -> tuple[str, str]:
    """Return the digests of commands and state of two strategies on three markets."""
    dutch = Scripted("dutch", by_event={"e": ("a", "b", "c")})
    spread = Scripted("spread")
    limits = RiskLimits(max_order_usd_e6=10**9, max_market_usd_e6=10**9)
    driver = Driver(dutch, spread, limits=limits)
    markets = [market(name, tick_e6=1_000) for name in ("a", "b", "c")]
    driver.start(*markets, cash_e6=10**10)
    for number in range(30):
        px_e6 = 100_000 + number % 7 * 3_000
        for name in ("a", "b", "c"):
            quotes = tuple(Quote(f"{name}-{side}", ev.Side.BUY, px_e6, 10_000_000) for side in ("yes", "no"))
            spread.script[name] = Decision(quotes, churn=ChurnLimits(min_lifetime_ns=2 * SECOND))
        dutch.script["e"] = Decision(baskets=(gt5_basket(f"k{number // 5}"),))
        for of in markets:
            driver.book(of, *GT5_BOOKS[of.condition_id])
        for order in submitted(driver.after(SECOND)):
            if order.basket_id is None:
                driver.accept(order)
            elif order.token_id == "c-yes" and number % 2:
                driver.kill(order)
            else:
                driver.fill(order)
        driver.engine.books.by_token["a-no"].state = BookState.SUSPECT
        driver.fact(ev.BookSuspect("a-no", "top", "test"))
        driver.decide()
        for going in driver.engine.orders.open_orders():
            if going.state is OrderState.CANCELING:
                driver.canceled(going.client_order_id)
    assert {type(command) for command in driver.commands} == {
        CancelOrders,
        MoveBasket,
        PlanBasket,
        RequestSnapshot,
        SubmitOrders,
    }
    return driver.engine.commands_digest(), driver.engine.digest()


if __name__ == "__main__":
    print(*run())  # noqa: T201 - a process of its own has no other way to answer
