"""The ``overround`` command with all its families.

Each module of this package holds one family and imports what its commands need only when they run, so
that ``--help`` is quick.
"""

import typer

from overround.ops.cli import check, markets, replays, rules, service, show, state, tapes

app = typer.Typer(
    name="overround",
    help="Keep Polymarket's order books true, and trade their overround on paper.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)

for family in (service, markets, rules, state, tapes, check, replays, show):
    for name, command in family.COMMANDS.items():
        app.command(name)(command)
