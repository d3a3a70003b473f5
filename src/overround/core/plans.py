"""Computed identities: the same plan always has the same ids, so the same plan twice is one plan."""

from hashlib import blake2b
from typing import Final

import msgspec

_PLAN_BYTES: Final = 8


def plan_id(strategy: str, scope: str, seq: int, *parts: str | int) -> str:
    """Return 16 hex digits that identify a plan: who, where, at which input, and for what.

    ``seq`` is the sequence number of the batch border at which the plan was made, so two plans of one run
    or of two runs over one journal never share an id unless they are the same plan.
    """
    text = msgspec.json.encode([strategy, scope, seq, *parts])
    return blake2b(text, digest_size=_PLAN_BYTES).hexdigest()


def order_id(plan: str, leg: int) -> str:
    """Return the client order id of one leg of a plan."""
    return f"{plan}-{leg}"
