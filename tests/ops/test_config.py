"""The configuration: layers, exact decimals, and one clear message for every mistake."""

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overround.core.market import EventKind, FeeSchedule, Market, MarketEvent, Token
from overround.core.risk import RiskLimits
from overround.core.units import E6
from overround.ops.config import Config, MarketConfig
from overround.ops.config_errors import ConfigError
from overround.ops.config_load import load
from overround.ops.config_text import to_toml
from overround.ops.secrets import Secret

CONDITION = "0x" + "ab" * 32


def write(directory: Path, text: str, name: str = "service.toml", mode: int = 0o600) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8", newline="\n")
    path.chmod(mode)
    return path


def outcome(path: Path) -> Config | str:
    """Return the configuration, or the message that refuses it."""
    try:
        return load(path)
    except ConfigError as error:
        return str(error)


def refused(directory: Path, text: str, profile: str | None = None) -> str:
    path = write(directory, text)
    with pytest.raises(ConfigError) as caught:
        load(path, profile)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def market(slug: str = "m", condition_id: str = CONDITION) -> Market:
    return Market(
        condition_id=condition_id,
        yes=Token("1", "Yes"),
        no=Token("2", "No"),
        slug=slug,
        question="?",
        tick_e6=10_000,
        min_size_e6=5 * E6,
        neg_risk=True,
        active=True,
        closed=False,
        accepting_orders=True,
        as_of_ms=0,
        fee=FeeSchedule(40_000),
    )


def event(slug: str = "e", event_id: str = "7") -> MarketEvent:
    return MarketEvent(
        event_id=event_id, slug=slug, title="", kind=EventKind.NEG_RISK, condition_ids=(), as_of_ms=0
    )


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, ""))
    assert msgspec.structs.replace(config, base_dir=Path()) == Config()
    assert config.mode == "paper"
    assert config.relayer.dry_run
    assert config.risk.limits() == RiskLimits()
    assert config.data_dir() == tmp_path / "data"


@pytest.mark.parametrize("text", ['"12.5"', "12.5", '"12.500000"', "12.50"])
def test_decimals_are_exact(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, f"[service.spread]\nsize = {text}")).service.spread.size_qty_e6 == 12_500_000


def test_whole_numbers_scale_too(tmp_path: Path) -> None:
    config = load(write(tmp_path, "[service.spread]\nsize = 12\n[venue]\ntimeout_s = 2.5"))
    assert config.service.spread.size_qty_e6 == 12 * E6
    assert config.venue.timeout_ms == 2_500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[service.spred]", "unknown key service.spred ('spred'): did you mean 'spread'?"),
        (
            "zzz = 1",
            "unknown key zzz ('zzz'): allowed here: service, venue, relayer, risk, wallet, market, event",
        ),
        ("base_dir = '.'", "unknown key base_dir ('base_dir'): allowed here: service"),
        (
            "[service.spread]\nsize = '0'",
            "service.spread.size is not allowed ('0'): write a decimal with at most 6 places, 1 to 10000",
        ),
        (
            "[service.spread]\nsize = '1.0000001'",
            "service.spread.size has the wrong type ('1.0000001'): write a decimal",
        ),
        ("[service.spread]\nsize = -5", "service.spread.size is not allowed (-5)"),
        ("[service.spread]\nsize = nan", "service.spread.size has the wrong type (Decimal('NaN'))"),
        (
            "[service.spread]\nsize = 1e999999999",
            "service.spread.size has the wrong type (Decimal('1E+999999999'))",
        ),
        ("[service.spread]\nsize = true", "service.spread.size has the wrong type (True)"),
        ("[service.spread]\nmin_change_ticks = 2.0", "service.spread.min_change_ticks has the wrong type"),
        (
            "[service.spread]\nmin_change_ticks = true",
            "service.spread.min_change_ticks has the wrong type (True)",
        ),
        (
            "[service.spread]\ntick_size = '0.02'",
            "service.spread.tick_size is not allowed ('0.02'): write one of 0.0001,",
        ),
        (
            "[service.spread]\npost_only = false",
            "service.spread.post_only is not allowed (False): write true",
        ),
        (
            "[service.spread]\nmin_price = '0.9'\nmax_price = '0.1'",
            "service.spread: min_price must be below max_price (service.spread): change one of them",
        ),
        ("[relayer]\ntype = 'reel'", 'relayer.type is not allowed (\'reel\'): write one of "fake", "real"'),
        ("[relayer]\ndry_run = 'yes'", "relayer.dry_run has the wrong type ('yes'): write true or false"),
        ("[relayer]\nchain_id = 1", "relayer.chain_id is not allowed (1): write one of 137, 80002"),
        ("[venue]\nws_url = 'http://x'", "venue.ws_url is not allowed ('http://x'): write a text like"),
        ("service = 3", "service must be a table (3): write a [service] section"),
        ("market = 3", "market has the wrong type (3): write [[market]] sections"),
        ("[market]\nslug = 'x'", "market has the wrong type"),
        ("[[market]]", "market[0]: needs either slug or condition_id (market[0])"),
        (
            "[[market]]\nslug='x'\n[market.spread]\nsizes=1",
            "unknown key market[0].spread.sizes ('sizes'): did you mean",
        ),
        ("[[event]]\nslug='x'\n[event.dutch]\nmax_size=0", "event[0].dutch.max_size is not allowed (0)"),
        (
            "[[event]]\nslug='x'\n[event.spread]\nmin_price='0.5'\n[[market]]\nslug='y'\n[market.spread]\nmax_price='0.4'",
            "market[0].spread: min_price must be below max_price",
        ),
        ("[service]\nmarkets = ['a', 3]", "service.markets[1] has the wrong type (3): write a text"),
        ("[service]\nname = 3", "service.name has the wrong type (3)"),
        ("profile = 1", "profile must be a table (1)"),
        (
            "[profile.live.service]\nnam = 'x'",
            "unknown key profile.live.service.nam ('nam'): did you mean 'name'?",
        ),
        ("a = = 1", "is not valid TOML (Invalid value (at line 1, column 5)): correct this line"),
        (
            "[service]\nname = 'a'\nname = 'b'",
            "is not valid TOML (Cannot overwrite a value (at end of document)",
        ),
        ("a = " + "[" * 5_000, "is nested too deeply"),
        ("a = " + "9" * 5_000, "is not valid TOML"),
        (
            "[risk]\nmax_open_orders = 0x" + "f" * 5_000,
            "risk.max_open_orders is not allowed (a number too large",
        ),
        ('[service]\nname = "a\\nb"', "service.name is not allowed ('a\\nb')"),
    ],
)
def test_a_mistake_is_named_with_value_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text).startswith(message)


def test_files_that_are_none(tmp_path: Path) -> None:
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe")
    for path, what in [
        (tmp_path / "none.toml", "cannot be read (No such file"),
        (tmp_path, "cannot be read ("),
        (binary, "is not UTF-8 text (byte 0)"),
    ]:
        assert str(outcome(path)).startswith(f"{path}: {what}")


def test_layers_override_in_order(tmp_path: Path) -> None:
    text = """
        [service]
        profile = "b"
        [service.spread]
        size = "10"
        edge = "0.02"
        max_spread = "0.2"
        [profile.a.service.spread]
        edge = "0.03"
        [profile.b.service.spread]
        edge = "0.04"
        [[event]]
        slug = "e"
        [event.spread]
        size = "20"
        min_change_ticks = 5
        [event.dutch]
        min_profit_usdc = "3"
        [[market]]
        condition_id = "CONDITION"
        [market.spread]
        size = "30"
    """
    path = write(tmp_path, text.replace("CONDITION", CONDITION.upper().replace("0X", "0x")))
    config = load(path)
    assert config.service.spread.edge_px_e6 == 40_000
    assert load(path, "a").service.spread.edge_px_e6 == 30_000
    assert load(path, "").service.spread.edge_px_e6 == 20_000
    assert load(path, "a").service.profile == "a"
    both = config.spread_for(market(), event())
    assert (both.size_qty_e6, both.min_change_ticks, both.edge_px_e6) == (30 * E6, 5, 40_000)
    assert config.spread_for(market(), None).min_change_ticks == 2
    assert config.spread_for(market(condition_id="0x1"), event()).size_qty_e6 == 20 * E6
    assert config.spread_for(market(condition_id="0x1"), event("other")) == config.service.spread
    assert config.dutch_for(event()).min_profit_usd_e6 == 3 * E6
    assert config.dutch_for(event("other", "8")) == config.service.dutch
    assert (
        refused(tmp_path, path.read_text(encoding="utf-8"), "c")
        == "unknown profile ('c'): profiles in this file: a, b"
    )


def test_an_entry_matches_by_its_one_name() -> None:
    assert MarketConfig(slug="m").names(market())
    assert not MarketConfig(slug="m").names(market("n"))
    assert MarketConfig(condition_id=CONDITION).names(market("n"))


def test_secrets_are_laid_over_and_never_shown(tmp_path: Path) -> None:
    path = write(tmp_path, "[wallet]\n", mode=0o644)
    write(tmp_path, "[wallet]\nprivate_key = '0xdeadbeef'\n[relayer]\ntype='real'", "secrets.local.toml")
    config = load(path)
    assert config.wallet.private_key == Secret("0xdeadbeef")
    assert config.mode == "live"
    shown = (
        f"{config} {config!r} {config.redacted()} {to_toml(config.redacted())} {config.wallet.private_key:>9}"
    )
    assert "deadbeef" not in shown
    assert config.redacted()["wallet"] == {"private_key": "***"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
@pytest.mark.parametrize("text", ["", "[wallet]\napi_key='x'"])
def test_files_with_secrets_must_be_private(tmp_path: Path, mode: int, text: str) -> None:
    path = write(tmp_path, "")
    secrets = write(tmp_path, text, "secrets.local.toml", mode)
    if os.name == "posix":  # other systems have no such bits
        assert outcome(path) == (
            f"{secrets}: holds secrets, but others may use it (mode {mode:04o}): run chmod 600 {secrets}"
        )
    secrets.chmod(0o600)
    assert isinstance(outcome(path), Config)


@pytest.mark.parametrize("text", ["[wallet]\napi_key='x'", "[profile.live.wallet]\napi_key='x'"])
def test_a_main_file_with_secrets_must_be_private_too(tmp_path: Path, text: str) -> None:
    if os.name == "posix":
        assert "service.toml: holds secrets" in str(outcome(write(tmp_path, text, mode=0o644)))
    assert isinstance(outcome(write(tmp_path, text)), Config)


@pytest.mark.parametrize("text", ["private_key = 77", "private_key = ''", "private_kye = 'hunter2'"])
def test_errors_about_secrets_do_not_show_them(tmp_path: Path, text: str) -> None:
    message = refused(tmp_path, f"[wallet]\n{text}")
    assert "hunter2" not in message
    assert "77" not in message


def test_the_digest_follows_behaviour_and_ignores_spelling(tmp_path: Path) -> None:
    first = load(write(tmp_path, "[service.spread]\nsize = '10'\nedge = 0.02"))
    same = load(write(tmp_path, "[service.spread]\nedge = '0.020'\nsize = 10.0"))
    other = load(write(tmp_path, "[service.spread]\nedge = '0.021'\nsize = 10.0"))
    assert first.digest() == same.digest() != other.digest()
    assert first.digest().startswith("sha256:")


def test_the_redacted_text_reads_back(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "[service]\nname='a-b'\nmarkets=['x','y']\ndata_dir='d \\u007f\"é'\n"
        "[[event]]\nslug='e'\n[event.dutch]\nmax_size=9\n"
        "[[market]]\nslug='m'\n[market.spread]\ntick_size='0.01'\nenabled=false",
    )
    config = load(path)
    assert load(write(tmp_path, to_toml(config.redacted()))) == config


KEYS = st.sampled_from(
    [
        "service",
        "spread",
        "size",
        "venue",
        "wallet",
        "market",
        "event",
        "profile",
        "relayer",
        "type",
        "dutch",
        "slug",
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.text(max_size=8),
        st.sampled_from(["0.5", "fake", "real", "-1", "1e3", "٣"]),
        st.decimals(allow_nan=True, allow_infinity=True),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
@example({"market": [[]]})
@example({"service": {"spread": {"size": Decimal("1e-30")}}})
def test_no_tree_of_values_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = write(tmp_path_factory.getbasetemp(), _as_toml(tree))
    found = outcome(path)
    if isinstance(found, str):
        assert found.startswith(f"{path}: ")
        assert "\n" not in found
    else:
        assert found.redacted()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_end_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(b"[service]\n" + data)
    path.chmod(0o600)
    found = outcome(path)
    assert isinstance(found, Config) or "\n" not in found


def _as_toml(tree: dict[str, Any]) -> str:
    """Write a tree with inline tables, so that any nesting is possible."""

    def value(item: Any) -> str:
        match item:
            case bool():
                return str(item).lower()
            case Decimal():
                text = str(item).lower().removeprefix("+")
                if not item.is_finite():
                    return "nan" if item.is_nan() else ("-inf" if item < 0 else "inf")
                return text if "." in text or "e" in text else f"{text}.0"
            case int():
                return str(item)
            case str():
                return msgspec.json.encode(item).decode().replace("\x7f", "\\u007f")
            case list():
                return "[" + ",".join(value(inner) for inner in item) + "]"
            case dict():
                return "{" + ",".join(f"{key}={value(inner)}" for key, inner in item.items()) + "}"
            case _:
                raise AssertionError(item)

    text = "".join(f"{key} = {value(item)}\n" for key, item in tree.items())
    tomllib.loads(text)
    return text
