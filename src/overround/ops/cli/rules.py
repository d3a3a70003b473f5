"""``rules-accept``: a person has read the changed resolution texts and lets trading resume."""

import getpass
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from overround.ops.cli.base import BadInput, ConfigOption, ProfileOption, out

if TYPE_CHECKING:
    from overround.core.universe import Universe
    from overround.ops.config import Config


def rules_accept(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Event by slug or id, or market by condition id.")
    ],
    config: ConfigOption,
    profile: ProfileOption = None,
    rule_hash: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="The rule hash you have read the texts of; without it: show it."),
    ] = None,
) -> None:
    """Accept the present resolution texts of an event, so that it is traded again.

    A changed rule text stops trading on its event. Read the texts at the venue,
    then name the hash that this command shows. Only while the service is stopped.
    """
    from overround.core.events import RulesAcknowledged, RunEnded
    from overround.ops.app import open_run
    from overround.ops.config_load import load
    from overround.polymarket.inbox import FactIn

    loaded = load(config, profile)
    rules_of, present, accepted = _rules(name, _known(loaded))
    if rule_hash is not None and rule_hash != present:
        raise BadInput("--rule-hash", "is not the present rule hash", rule_hash, f"it is {present} now")
    if accepted:
        out.print(f"{name}: the present rules are accepted already ({present})", soft_wrap=True)
        return
    if rule_hash is None:
        out.print(f"{name}: rules changed; read them, then accept with --rule-hash {present}", soft_wrap=True)
        return
    now_ns = time.time_ns()
    facts = (RulesAcknowledged(rules_of, present, getpass.getuser()), RunEnded("rules accepted"))
    with open_run(loaded, (), now_ns) as run:
        run.on_step(run.sequencer.step([FactIn(now_ns, fact) for fact in facts], now_ns))
    out.print(f"{name}: accepted {present}; trading resumes at the next start", soft_wrap=True)


COMMANDS: dict[str, Callable[..., None]] = {"rules-accept": rules_accept}


def _known(config: "Config") -> "Universe":
    """Return the markets and events of the store, which is only read. Raises ``StoreError``."""
    from overround.ops.app import new_engine, store_path
    from overround.runtime.recovery import fold
    from overround.storage.journal import JournalReader

    engine = new_engine(config)
    with JournalReader.open(store_path(config)) as journal:
        fold(engine, journal.read())
    return engine.universe


def _rules(name: str, universe: "Universe") -> tuple[str, str, bool]:
    """Return whose rules are meant, their present hash, and whether that is accepted. Raises ``BadInput``."""
    for event in universe.events.values():
        if name in (event.event_id, event.slug):
            return event.event_id, event.rule_hash, universe.rules_accepted(event.event_id)
    for market in universe.markets.values():
        if name in (market.condition_id, market.slug):
            key = market.condition_id
            return key, market.rule_hash, universe.market_rules_accepted(key)
    raise BadInput("NAME", "no such event or market in the store", name, "see `overround markets-list`")
