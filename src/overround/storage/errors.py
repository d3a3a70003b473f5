"""What can go wrong with the store, each as one message that names the file and the remedy."""

from pathlib import Path


class StoreError(Exception):
    """The store cannot be used. The text is one line: ``<path>: <what>: <remedy>``."""


class StoreMissing(StoreError):
    """There is no store at this path."""


class StoreDamaged(StoreError):
    """The database file, or the journal inside it, is not what was written."""


class StoreTooNew(StoreError):
    """A newer version of the program has written this database."""


def damaged(path: Path, what: str) -> StoreDamaged:
    """Return the error for damage found in ``path``; nothing is repaired silently."""
    return StoreDamaged(f"{path}: {what}: restore a backup, or move the file away to begin anew")
