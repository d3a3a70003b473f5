"""Spread capture: rest a bid and an ask round the fair value, and lean against the position."""

from overround.strategies.spread_capture.params import SpreadParams
from overround.strategies.spread_capture.strategy import SpreadCapture

NAME = "spread_capture"
PARAMS = SpreadParams
STRATEGY = SpreadCapture

__all__ = ["NAME", "PARAMS", "STRATEGY", "SpreadCapture", "SpreadParams"]
