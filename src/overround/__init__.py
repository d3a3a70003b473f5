"""Overround: a trading system for Polymarket, built as a fold over recorded inputs."""

__version__ = "0.1.0"
