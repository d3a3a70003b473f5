"""What each account owns, what of it is promised to open orders, and what is under way to settlement.

Three layers per asset: *settled* (on chain, spendable), *reserved* (promised to open orders) and
*pending* (matched, not mined). What a match gives away is held back at once; what it brings can be used
from MINED on, as at the venue, whose balance check reads the chain (protocol sheet 3.7, 7.1, 7.4).

Invariants: settled, reserved and available amounts are never negative; a movement that would make
them so raises and changes nothing; split, merge, convert and redeem conserve what they must (see each).
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from overround.core.market import Market

BIPS: Final = 10_000


class InsufficientFunds(Exception):
    """An account has less available than a movement takes; nothing was changed."""


class Movement(msgspec.Struct, frozen=True):
    """Signed amounts that move together: dollars, and shares per token."""

    usd_e6: int = 0
    shares: tuple[tuple[str, int], ...] = ()


class Account:
    """One participant's balances."""

    __slots__ = (
        "_held",
        "_held_usd_e6",
        "_pending",
        "_reserved",
        "_shares",
        "account_id",
        "cash_usd_e6",
        "reserved_usd_e6",
    )

    def __init__(self, account_id: str, cash_usd_e6: int = 0, shares: Iterable[tuple[str, int]] = ()) -> None:
        self.account_id = account_id
        self.cash_usd_e6 = cash_usd_e6
        """Settled cash, reserved and held-back parts included."""
        self.reserved_usd_e6 = 0
        self._shares: dict[str, int] = dict(shares)
        self._reserved: dict[str, int] = {}
        self._pending: dict[str, Movement] = {}
        self._held_usd_e6 = 0
        self._held: dict[str, int] = {}

    # --- questions -------------------------------------------------------------------------------

    def shares_e6(self, token_id: str) -> int:
        """Return the settled shares of a token."""
        return self._shares.get(token_id, 0)

    def positions(self) -> dict[str, int]:
        """Return all settled shares by token, in a fixed order, zeros left out."""
        return {token_id: qty for token_id, qty in sorted(self._shares.items()) if qty}

    def pending(self) -> Movement:
        """Return the sum of matched movements that are not mined yet."""
        shares: dict[str, int] = {}
        for movement in self._pending.values():
            for token_id, qty_e6 in movement.shares:
                shares[token_id] = shares.get(token_id, 0) + qty_e6
        return Movement(sum(m.usd_e6 for m in self._pending.values()), tuple(sorted(shares.items())))

    def available_usd_e6(self) -> int:
        """Return the dollars a new order or movement may use."""
        return self.cash_usd_e6 - self.reserved_usd_e6 - self._held_usd_e6

    def available_e6(self, token_id: str) -> int:
        """Return the shares a new order or movement may use."""
        return self._shares.get(token_id, 0) - self._reserved.get(token_id, 0) - self._held.get(token_id, 0)

    def reserved_e6(self, token_id: str) -> int:
        """Return the shares promised to open orders."""
        return self._reserved.get(token_id, 0)

    # --- reservations ----------------------------------------------------------------------------

    def reserve(self, usd_e6: int, token_id: str, qty_e6: int) -> None:
        """Change the reservations by signed amounts.

        Raises:
            InsufficientFunds: if more would be reserved than is there, or less than nothing.
        """
        if usd_e6 > max(0, self.available_usd_e6()) or self.reserved_usd_e6 + usd_e6 < 0:
            raise InsufficientFunds(
                f"{self.account_id}: reserve {usd_e6} of {self.available_usd_e6()} dollars_e6"
            )
        if qty_e6 > max(0, self.available_e6(token_id)) or self.reserved_e6(token_id) + qty_e6 < 0:
            raise InsufficientFunds(
                f"{self.account_id}: reserve {qty_e6} of {self.available_e6(token_id)} shares_e6"
            )
        self.reserved_usd_e6 += usd_e6
        if qty_e6:
            self._reserved[token_id] = self.reserved_e6(token_id) + qty_e6

    # --- movements -------------------------------------------------------------------------------

    def matched(self, key: str, movement: Movement) -> None:
        """Hold back what a match gives away; what it brings waits for :meth:`mined`.

        Raises ``ValueError`` for a key under way already, :class:`InsufficientFunds` if something is lacking.
        """
        if key in self._pending:
            raise ValueError(f"{key} is under way already")
        self._check(movement)
        self._pending[key] = movement
        self._hold(movement, 1)

    def mined(self, key: str) -> None:
        """Settle a match. Raises ``KeyError`` if it is not under way."""
        movement = self._pending.pop(key)
        self._hold(movement, -1)
        self._apply(movement)

    def failed(self, key: str) -> None:
        """Undo a match that was never mined. Raises ``KeyError`` if it is not under way."""
        self._hold(self._pending.pop(key), -1)

    def apply(self, movement: Movement) -> None:
        """Move settled amounts at once. Raises :class:`InsufficientFunds` if something is lacking."""
        self._check(movement)
        self._apply(movement)

    def _check(self, movement: Movement) -> None:
        if -movement.usd_e6 > self.available_usd_e6():
            raise InsufficientFunds(
                f"{self.account_id}: {self.available_usd_e6()} of {-movement.usd_e6} dollars_e6 available"
            )
        for token_id, qty_e6 in movement.shares:
            if -qty_e6 > self.available_e6(token_id):
                raise InsufficientFunds(
                    f"{self.account_id}: {self.available_e6(token_id)} of {-qty_e6} shares_e6 "
                    f"of {token_id} available"
                )

    def _hold(self, movement: Movement, sign: int) -> None:
        self._held_usd_e6 += sign * max(0, -movement.usd_e6)
        for token_id, qty_e6 in movement.shares:
            if qty_e6 < 0:
                self._held[token_id] = self._held.get(token_id, 0) - sign * qty_e6

    def _apply(self, movement: Movement) -> None:
        self.cash_usd_e6 += movement.usd_e6
        for token_id, qty_e6 in movement.shares:
            self._shares[token_id] = self._shares.get(token_id, 0) + qty_e6


# --- what the chain does with positions ----------------------------------------------------------


def split(market: Market, qty_e6: int) -> Movement:
    """Return dollars becoming as many YES and NO. Raises ``ValueError`` unless ``qty_e6`` is positive."""
    _positive(qty_e6)
    return Movement(-qty_e6, ((market.yes.token_id, qty_e6), (market.no.token_id, qty_e6)))


def merge(market: Market, qty_e6: int) -> Movement:
    """Return pairs of YES and NO becoming dollars. Raises ``ValueError`` unless ``qty_e6`` is positive."""
    _positive(qty_e6)
    return Movement(qty_e6, ((market.yes.token_id, -qty_e6), (market.no.token_id, -qty_e6)))


def redeem(market: Market, winner: str, account: Account) -> Movement:
    """Return the movement that burns both tokens of a resolved market and pays a dollar per winning share.

    Only what is available is burned: shares that a match has given away are not the account's any more.
    Raises ``ValueError`` if ``winner`` is no token of the market.
    """
    if winner not in market.token_ids():
        raise ValueError(f"{winner} is no token of {market.condition_id}")
    burned = tuple((token_id, -account.available_e6(token_id)) for token_id in market.token_ids())
    return Movement(account.available_e6(winner), burned)


def convert(questions: Sequence[Market], indices: frozenset[int], qty_e6: int, fee_bips: int = 0) -> Movement:
    """Return the conversion of ``qty_e6`` NO of each question in ``indices`` of a neg-risk event.

    It pays ``(k - 1) * out`` dollars and ``out`` YES of every other question, ``out`` being the quantity
    less the fee. Without a fee the worth is the same in every outcome with exactly one winner.

    Args:
        questions: every question of the event by on-chain index, placeholders and 'Other' included.
        indices: on-chain indices of the questions whose NO is given.
        qty_e6: shares of each.
        fee_bips: conversion fee of the event.

    Raises:
        ValueError: for fewer than two questions, no index, an index out of range, or a quantity that is
            not positive (the contract reverts likewise).
    """
    _positive(qty_e6)
    if len(questions) < 2 or not indices or min(indices) < 0 or max(indices) >= len(questions):
        raise ValueError(f"questions {sorted(indices)} of {len(questions)} cannot be converted")
    out_e6 = qty_e6 - qty_e6 * fee_bips // BIPS
    shares = tuple(
        (market.no.token_id, -qty_e6) if index in indices else (market.yes.token_id, out_e6)
        for index, market in enumerate(questions)
    )
    return Movement((len(indices) - 1) * out_e6, shares)


def _positive(qty_e6: int) -> None:
    if qty_e6 <= 0:
        raise ValueError(f"quantity must be positive, not {qty_e6}")
