"""The one error of the configuration."""

from typing import Any


class ConfigError(Exception):
    """The configuration cannot be used: which file, what is wrong, which value, what to do.

    Its text is one line, ``<path>: <what> (<value>): <remedy>``.
    """

    def __init__(self, path: object, what: str, value: str, remedy: str) -> None:
        self.path = str(path)
        self.what = what
        self.value = value
        self.remedy = remedy
        super().__init__(" ".join(f"{path}: {what} ({value}): {remedy}".split()))


def shown(value: Any) -> str:
    """Return ``value`` short and on one line, for an error message."""
    try:
        text = repr(value)
    except ValueError:  # an integer beyond the interpreter's limit of digits
        return "a number too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
