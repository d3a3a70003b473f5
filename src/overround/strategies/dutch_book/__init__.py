"""Dutch book: buy a set of outcomes that must pay more than it costs."""

from overround.strategies.dutch_book.params import DutchParams
from overround.strategies.dutch_book.strategy import DutchBook

NAME = "dutch_book"
PARAMS = DutchParams
STRATEGY = DutchBook

__all__ = ["NAME", "PARAMS", "STRATEGY", "DutchBook", "DutchParams"]
