"""A process for the crash test: one run of a paper session, killed from outside at any moment.

Usage: python -m tests.runtime.crash_session DATA_DIR RUN_ID RECORDINGS
Prints READY once the gate is open, then trades the BTC recording from its first snapshot on.
"""

import sys
from pathlib import Path

from tests.runtime.sessions import frames, stored_session

BTC = "books_btc-updown-5m-1776326100.jsonl.zst"


def main() -> None:
    data, run_id, recordings = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    with stored_session(recordings, data, run_id) as session:
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        session.run(frames(recordings, BTC, session.sequencer.ts_ns))


if __name__ == "__main__":
    main()
