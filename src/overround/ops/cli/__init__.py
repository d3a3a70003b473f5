"""The command line: one module per family of commands, put together here.

Invariants: a person gets one line for a mistake of theirs (exit code 2) and never a traceback; ``--json``
prints exactly one JSON document to standard output; progress and logs go to standard error.
"""

import io
import sys

from overround.ops.cli.base import run_app
from overround.ops.cli.root import app


def main() -> None:
    """Run the command line; the process exits with 0 ok, 1 the command found a problem, 2 bad input."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # redirected on Windows, it would refuse "−" and "✓"
            stream.reconfigure(encoding="utf-8")
    run_app(app)


__all__ = ["app", "main"]
