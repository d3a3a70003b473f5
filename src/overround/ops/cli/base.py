"""What all commands share: mistakes in one line, JSON, tables, the options that recur.

Exit codes: 0 ok, 1 the command found a problem, 2 bad input.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, cast

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from overround.ops.config_errors import ConfigError
from overround.ops.mistakes import BadInput, Problem
from overround.storage.errors import StoreError
from overround.storage.import_source import ImportFormatError
from overround.storage.lock import AlreadyRunning
from overround.storage.tape import TapeError

__all__ = [
    "BAD_INPUT",
    "MISTAKES",
    "OK",
    "PROBLEM",
    "BadInput",
    "ConfigOption",
    "JsonOption",
    "Problem",
    "ProfileOption",
    "err",
    "existing_file",
    "out",
    "print_json",
    "print_pairs",
    "print_table",
    "run_app",
]

OK = 0
PROBLEM = 1
BAD_INPUT = 2

MISTAKES = (ConfigError, StoreError, TapeError, ImportFormatError, AlreadyRunning)
"""Errors whose text is one line for the person who gave the input."""

_USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""What typer raises for any mistake on the command line; it has no public name."""

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="Configuration file (TOML).", show_default=True)
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", "-p", help="Profile laid over the file, e.g. paper.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def run_app(app: typer.Typer) -> NoReturn:
    """Run ``app`` with the process's arguments and exit; a mistake of the person's is one line."""
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="overround", standalone_mode=False)
    except typer.Exit as done:
        code = done.exit_code
    except typer.Abort:
        _say("interrupted")
        code = 130
    except _USAGE_ERROR as error:
        _say(_usage(cast("typer.BadParameter", error)))
        code = BAD_INPUT
    except (BadInput, *MISTAKES) as error:
        _say(f"error: {error}")
        code = BAD_INPUT
    except Problem as problem:
        _say(str(problem))
        code = PROBLEM
    except BrokenPipeError:
        sys.stdout = None
        code = OK
    sys.exit(code if isinstance(code, int) else OK)


def print_json(document: Any) -> None:
    """Print one JSON document: structs, lists and mappings as they are; decimals are texts already."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people; columns whose name ends in ``#`` are numbers and aligned right."""
    table = Table(header_style="bold")
    for column in columns:
        numeric = column.endswith("#")
        table.add_column(
            column.removesuffix("#"),
            justify="right" if numeric else "left",
            overflow="ellipsis" if numeric else "fold",
        )
    for row in rows:
        table.add_row(*(str(value) for value in row))
    _print_titled(title, table)


def print_pairs(title: str, pairs: Mapping[str, object]) -> None:
    """Print names and values for people."""
    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(name, str(value))
    _print_titled(title, table)


def _print_titled(title: str, table: Table) -> None:
    out.print(title, style="bold", soft_wrap=True, markup=False)
    out.print(table)


def existing_file(path: Path) -> Path:
    """Return ``path`` if it is a readable file. Raises :class:`BadInput`."""
    if not path.exists():
        raise BadInput(path, "no such file", path.name, "name a file that exists")
    if path.is_dir():
        raise BadInput(path, "is a directory", path.name, "name a file")
    return path


def _say(line: str) -> None:
    sys.stderr.write(" ".join(line.split()) + "\n")


def _usage(error: typer.BadParameter) -> str:
    """Return the line for a mistake in options or arguments."""
    path = error.ctx.command_path if error.ctx is not None else "overround"
    return f"error: {path}: {error.format_message().rstrip('.')}: see {path} --help"
