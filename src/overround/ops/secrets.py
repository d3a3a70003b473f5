"""A text that cannot be shown by accident.

Invariant: ``str``, ``repr``, formatting, pickling and JSON never give the text away; only
:meth:`Secret.reveal` does, so every use can be found by that word.
"""

import hmac
from typing import Final, NoReturn

MASK: Final = "***"


class Secret:  # noqa: PLW1641 - a hash would let the text be guessed from a log
    """Holds a secret text. Compares in constant time; is not hashable."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied to another process")
