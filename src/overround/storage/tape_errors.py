"""What can be wrong with a tape, sorted by what its owner must do.

Invariant: each message fits one line and names the path, what is wrong and the remedy.
Must not know how a tape is read or written.
"""

from __future__ import annotations

from pathlib import Path


class TapeError(Exception):
    """Something about a tape is wrong; the message names path, fault and remedy."""


class TapeFormatError(TapeError):
    """The path holds no tape: missing, empty, without segments, or something else."""


class TapeVersionError(TapeError):
    """The tape was written in a format version this program does not read."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path}: is a tape of another format (version {found}, this program reads version {known}):"
            " read it with the program version that wrote it and export it to JSONL"
        )
        self.found = found


class TapeDamaged(TapeError):
    """Bytes inside a tape are not those that were written (an end cut by a crash is no damage)."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            f"{path}: damaged at byte {offset} ({what}): restore this file from a copy,"
            " or read the tape only up to this block"
        )
        self.path = path
        self.offset = offset


class TapeWriteError(TapeError):
    """The writer thread failed (disk full, no permission) or was given a record it cannot encode."""


class TapeOverflow(TapeWriteError):
    """The queue to the writer thread is full: this record was *not* taken, later ones may be."""
