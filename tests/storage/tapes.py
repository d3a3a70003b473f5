"""What the tape's tests share: generated records, and reading a whole tape."""

from pathlib import Path

from hypothesis import strategies as st

from overround.storage.tape import FRAME, TapeInfo, TapeReader, TapeRecord

U63 = st.integers(0, 2**63 - 1)
U32 = st.integers(0, 2**32 - 1)


def frame(seq: int, payload: bytes = b"{}") -> TapeRecord:
    return TapeRecord(FRAME, seq, seq, seq, 1, 1, payload)


def record_lists(min_size: int = 1, max_size: int = 30) -> st.SearchStrategy[list[TapeRecord]]:
    record = st.builds(
        TapeRecord,
        st.integers(1, 4),
        U63,
        U63,
        U63,
        st.integers(0, 2**16 - 1),
        U32,
        st.binary(max_size=60),
    )
    return st.lists(record, min_size=min_size, max_size=max_size).map(
        lambda records: sorted(records, key=lambda record: record.seq)
    )


def read_tape(path: Path) -> list[TapeRecord]:
    with TapeReader(path) as tape:
        return list(tape)


def tape_info(path: Path) -> TapeInfo:
    with TapeReader(path) as tape:
        return tape.info()
