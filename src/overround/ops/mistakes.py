"""What can be wrong with what a person gave, or with what a command found, in one line each."""


class BadInput(Exception):
    """Something a person gave cannot be used; its text is ``<where>: <what> (<value>): <remedy>``."""

    def __init__(self, where: object, what: str, value: object, remedy: str) -> None:
        super().__init__(" ".join(f"{where}: {what} ({value}): {remedy}".split()))


class Problem(Exception):
    """The command did its work and found a problem; the text says which (exit code 1)."""
