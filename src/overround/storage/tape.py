"""The tape: raw frames as received, in segments of compressed blocks. This is the door to use.

A tape is a directory of `NNNNNNNN.tape` segments (or one such file): `TapeWriter` appends from the hot
thread at the price of one queue append, `TapeReader` iterates and seeks. `tape_format` states the bytes.
Must not know what a payload means.
"""

from overround.storage.tape_errors import (
    TapeDamaged,
    TapeError,
    TapeFormatError,
    TapeOverflow,
    TapeVersionError,
    TapeWriteError,
)
from overround.storage.tape_format import FRAME, MARK, NOTE, TIMER, RecordTuple, TapeRecord
from overround.storage.tape_reader import TapeInfo, TapeReader
from overround.storage.tape_segment import TornTail
from overround.storage.tape_writer import TapeWriter, TapeWriterStats

__all__ = [
    "FRAME",
    "MARK",
    "NOTE",
    "TIMER",
    "RecordTuple",
    "TapeDamaged",
    "TapeError",
    "TapeFormatError",
    "TapeInfo",
    "TapeOverflow",
    "TapeReader",
    "TapeRecord",
    "TapeVersionError",
    "TapeWriteError",
    "TapeWriter",
    "TapeWriterStats",
    "TornTail",
]
