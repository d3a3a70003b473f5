"""Which socket carries which market: bounded, stable sharding.

Invariants: both tokens of a market are on one socket (their changes come in one frame); no socket
carries more than ``max_assets`` tokens (past about 500 the venue silently sends nothing); a market
stays where it is until it is removed. Pure; knows no socket.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

VENUE_ASSETS_PER_SOCKET: Final = 500
"""Undocumented limit observed by several users of the venue."""


class ShardChange(msgspec.Struct, frozen=True):
    """What one socket gains and loses: market key → its tokens, and market keys."""

    shard: int
    added: dict[str, tuple[str, ...]]
    removed: tuple[str, ...]


class Shards:
    """The assignment of markets to sockets 0, 1, 2, …"""

    def __init__(self, max_assets: int = 400) -> None:
        if not 2 <= max_assets <= VENUE_ASSETS_PER_SOCKET:
            raise ValueError(f"max_assets {max_assets} must be in 2..{VENUE_ASSETS_PER_SOCKET}")
        self._max_assets = max_assets
        self._shard_of: dict[str, int] = {}
        self._tokens: dict[str, tuple[str, ...]] = {}
        self._market_of: dict[str, str] = {}
        self._load: list[int] = []

    def __len__(self) -> int:
        return len(self._load)

    @property
    def markets(self) -> Mapping[str, tuple[str, ...]]:
        """Tokens of every assigned market."""
        return self._tokens

    def load(self, shard: int) -> int:
        """Return how many tokens a socket carries."""
        return self._load[shard]

    def locate(self, token_id: str) -> tuple[int, str] | None:
        """Return the socket and the market of a token, if it is assigned."""
        market = self._market_of.get(token_id)
        return None if market is None else (self._shard_of[market], market)

    def change(self, add: Mapping[str, tuple[str, ...]], remove: Iterable[str] = ()) -> list[ShardChange]:
        """Remove, then add markets; return the change of each socket touched, in order of sockets.

        Markets already assigned, unknown ones to remove, and those to be both removed and added are
        left alone.

        Raises:
            ValueError: a market has more tokens than a socket may carry, or a token of another market.
        """
        for market, tokens in add.items():
            self._check(market, tokens)
        added: dict[int, dict[str, tuple[str, ...]]] = {}
        removed: dict[int, list[str]] = {}
        for market in remove:
            if market in self._shard_of and market not in add:
                removed.setdefault(self._take_out(market), []).append(market)
        for market, tokens in add.items():
            if market not in self._shard_of:
                added.setdefault(self._place(market, tokens), {})[market] = tokens
        return [
            ShardChange(shard, added.get(shard, {}), tuple(removed.get(shard, ())))
            for shard in sorted(added.keys() | removed.keys())
        ]

    def _check(self, market: str, tokens: tuple[str, ...]) -> None:
        if not 0 < len(tokens) <= self._max_assets:
            raise ValueError(f"market {market} has {len(tokens)} tokens; 1..{self._max_assets} fit a socket")
        for token in tokens:
            if self._market_of.get(token, market) != market:
                raise ValueError(f"token {token} of {market} belongs to {self._market_of[token]}")

    def _place(self, market: str, tokens: tuple[str, ...]) -> int:
        fits = (n for n, load in enumerate(self._load) if load + len(tokens) <= self._max_assets)
        shard = next(fits, len(self._load))
        if shard == len(self._load):
            self._load.append(0)
        self._load[shard] += len(tokens)
        self._shard_of[market] = shard
        self._tokens[market] = tokens
        self._market_of.update(dict.fromkeys(tokens, market))
        return shard

    def _take_out(self, market: str) -> int:
        shard = self._shard_of.pop(market)
        tokens = self._tokens.pop(market)
        self._load[shard] -= len(tokens)
        for token in tokens:
            del self._market_of[token]
        return shard
