"""What the revision of the account promises: while it stands, nothing of a strategy's own has changed."""

from hypothesis import given
from hypothesis import strategies as st

from overround.core.events import Settlement
from overround.core.orders import IllegalTransition, Orders, Trigger
from overround.core.units import E6
from tests.core.worlds import Account, fill, intent

TOKENS = ("m-yes", "m-no")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "move", "fill", "discard", "settle"]),
        st.integers(0, 5),
        st.sampled_from(list(Trigger)),
        st.sampled_from(list(Settlement)),
    ),
    max_size=40,
)


def answers(it: Account) -> list[object]:
    """Everything that a view says about orders and shares."""
    found: list[object] = []
    for token_id in TOKENS:
        resting = it.orders.open_on("s", token_id)
        found.append([(order.client_order_id, order.remaining_qty_e6) for order in resting])
        found += [it.portfolio.position_e6("s", token_id), it.portfolio.settled_e6("s", token_id)]
    return found


def do(it: Account, number: int, what: str, which: int, trigger: Trigger, status: Settlement) -> None:
    made = list(it.orders)
    if what == "add" or not made:
        it.orders.add(intent(f"o{number}", TOKENS[which % 2]), number)
        return
    order = made[which % len(made)]
    if what == "move":
        it.orders.move(order, trigger, number)
    elif what == "fill":
        it.orders.fill(order, E6, E6 // 2, 0, number)
        it.portfolio.fill(order.intent, fill(order.intent, f"t{number}", E6))
    elif what == "settle":
        trades = sorted(it.portfolio.unsettled_trades())
        it.portfolio.settle(trades[which % len(trades)] if trades else "none", status)
    elif order.open:
        it.orders.discard(order)


@given(STEPS)
def test_an_answer_never_changes_under_the_same_revision(
    steps: list[tuple[str, int, Trigger, Settlement]],
) -> None:
    it = Account()
    for number, step in enumerate(steps):
        before = answers(it), it.orders.revision + it.portfolio.revision
        try:
            do(it, number, *step)
        except IllegalTransition:
            assert answers(it) == before[0]
        if it.orders.revision + it.portfolio.revision == before[1]:
            assert answers(it) == before[0]


def test_a_question_changes_no_revision() -> None:
    orders = Orders()
    orders.add(intent(), 1)
    before = orders.revision
    assert orders.open_on("s", "m-yes") == orders.open_orders()
    assert orders.revision == before
