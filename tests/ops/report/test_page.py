"""The page renders whatever a run left behind, loads nothing, and escapes what it shows."""

import re
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from overround.ops.report.charts import equity_chart, story_chart
from overround.ops.report.model import MarketStory, ReportData
from overround.ops.report.page import render
from tests.ops.report.pages import Page, assert_self_contained
from tests.ops.report.samples import EMPTY, basket, full

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&"


@pytest.mark.parametrize("data", [EMPTY, full()], ids=["empty", "full"])
def test_nothing_is_loaded_from_elsewhere(data: ReportData) -> None:
    assert_self_contained(render(data, "A run", {}))


def test_a_run_without_orders_is_a_page() -> None:
    page = Page(render(EMPTY, "A quiet run", {}))
    assert "A quiet run" in page.text
    assert "still running" in page.text


def test_the_page_shows_what_the_run_did() -> None:
    text = Page(render(full(), "A run", {"verified": True, "doubtful": False})).text
    for shown in ("✓ verified", "✗ doubtful", "+$11.00", "−$1.47", "33,602", "Fees eat the gap", "1,476"):
        assert shown in text


def test_verified_failed_and_unverifiable_hashes_are_told_apart() -> None:
    html = render(full(), "A run", {})
    cells = re.search(r"<td>hashes of snapshots</td>(.*?)</tr>", html)
    assert cells is not None
    assert re.findall(r">([\d,]+)<", cells[1]) == ["3,452", "3", "5,347", "5", "8,807"]
    cells = re.search(r"<td>hashes of changes</td>(.*?)</tr>", html)
    assert cells is not None
    assert re.findall(r">([\d,]+)<", cells[1]) == ["11,918", "2", "0", "33,932", "45,852"]


@settings(deadline=None, max_examples=12)
@given(st.text(min_size=1, max_size=40) | st.sampled_from([HOSTILE, "'", "<b>", "&amp;"]))
def test_hostile_texts_stay_texts(text: str) -> None:
    with patch("overround.ops.report.page.get_plotlyjs", return_value=""):  # 5 MB that are never hostile
        calm = Page(render(full("Ada"), "A run", {"held": True}))
        hostile = Page(render(full(text, text, text), text, {text: True}))
    assert hostile.tags == calm.tags
    assert hostile.loads == []


def test_a_basket_without_guarantee_promises_nothing() -> None:
    data = replace(EMPTY, baskets=[basket(guaranteed=False)])
    assert data.guaranteed_usd_e6 == 0
    assert "not guaranteed" in Page(render(data, "A run", {})).text


def test_prices_that_hardly_ever_were_do_not_flatten_the_chart() -> None:
    times = list(range(0, 200_000, 1_000))
    bids: list[int | None] = [*[400_000] * 199, 1_000]
    asks: list[int | None] = [*[420_000] * 199, 999_000]
    story = MarketStory("m", times, bids, asks, [], [])
    low, high = story_chart(story).layout.yaxis.range
    assert 0.38 < low < 0.4
    assert 0.42 < high < 0.44


def test_a_market_without_prices_can_be_drawn() -> None:
    story_chart(MarketStory("m", [], [], [], [], []))


def test_the_equity_chart_has_total_strategies_and_baskets() -> None:
    data = full()
    traces = {trace.name: list(trace.y) for trace in equity_chart(data.equity, data.baskets).data}
    assert traces["total"] == [0, 4, 11]
    assert traces["dutch book"] == [0, -1, -2.84]
    assert traces["baskets at resolution"] == pytest.approx([0, 0.42, -1.47, -1.47])
