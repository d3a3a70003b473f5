"""The JSON carried by NOTE records: what a tape says about itself.

Invariants: `decode_note(encode_note(note)) == note`; new fields are appended with defaults, so that
older notes stay readable.
Must not know how notes are stored.
"""

from typing import Final, Literal

import msgspec

from overround.core.events import Fact

STREAM_MARKET: Final = 1
"""Stream number used where there is one market channel (imports); shards take numbers from 16 on."""
STREAM_USER: Final = 2
"""Stream number of the user channel."""
STREAM_REST: Final = 3
"""Stream number of answers fetched over HTTP, for instance order books."""
STREAM_DERIVED: Final = 4
"""Stream number of frames made from somebody's processed data instead of received messages."""

Role = Literal["market", "user", "rest", "derived"]
TimeSource = Literal["receive", "exchange"]


class StreamNote(msgspec.Struct, frozen=True, tag="stream"):
    """Names a stream number."""

    stream: int
    name: str
    role: Role


class SourceNote(msgspec.Struct, frozen=True, tag="source"):
    """Says where an imported tape came from."""

    file: str
    format: str
    time_source: TimeSource
    """`exchange` when the recording had no receive times and the frames' own were taken instead."""
    derived: bool
    """True when no frame is a received message: then no frame carries a hash to check."""


class MetadataNote(msgspec.Struct, frozen=True, tag="metadata"):
    """Market metadata as the venue gave it, kept beside the frames that need it."""

    topic: str
    data: msgspec.Raw


class FactNote(msgspec.Struct, frozen=True, tag="fact"):
    """A fact of metadata or streams, kept beside the frames that need it."""

    fact: Fact


Note = StreamNote | SourceNote | MetadataNote | FactNote

_decoder: Final[msgspec.json.Decoder[Note]] = msgspec.json.Decoder(Note)


class NoteError(ValueError):
    """A NOTE record's payload is no note this program knows."""


def encode_note(note: Note) -> bytes:
    """Return the payload of a NOTE record."""
    return msgspec.json.encode(note)


def fact_note(fact: Fact) -> bytes:
    """Return the payload of a NOTE record that carries ``fact``."""
    return encode_note(FactNote(fact))


def decode_note(payload: bytes) -> Note:
    """Return the note in a NOTE record's payload. Raises `NoteError`."""
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise NoteError(f"not a tape note: {error}") from error
