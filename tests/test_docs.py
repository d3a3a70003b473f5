"""The documents name only what exists: linked files, commands with options, configuration keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from overround.ops.cli import app
from tests.conftest import PROJECT_ROOT

PAGES = sorted(
    path.relative_to(PROJECT_ROOT)
    for path in (*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md"))
)
INDEX = Path("docs/README.md")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CALL = re.compile(r"\boverround ([a-z][a-z-]+)([^\n`|#]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
KEY = re.compile(r"`((?:service|venue|relayer|risk|wallet)\.[a-z_]+(?:\.[a-z_0-9]+)*)`")
EXAMPLE_KEY = re.compile(r"^(?:# )?([a-z][a-z_0-9]*) = ")
SECTION = re.compile(r"^\[([a-z.]+)\]$")
ROOMS = ("core", "strategies", "exchange", "polymarket", "storage", "runtime", "ops")
CODE = re.compile(rf"(?<![\w/])((?:{'|'.join(ROOMS)}|tests|benches)/[\w/]+\.py)")
NOT_COMMANDS = {"journal", "system", "the"}


def text_of(page: Path) -> str:
    return (PROJECT_ROOT / page).read_text(encoding="utf-8")


def local_links(page: Path) -> Iterator[Path]:
    for target in LINK.findall(text_of(page)):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            yield (PROJECT_ROOT / page).parent / target.partition("#")[0]


def commands() -> dict[str, set[str]]:
    group: Any = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        for name, command in group.commands.items()
    }


def example_keys() -> set[str]:
    section, keys = "", set()
    for line in text_of(Path("config/service.example.toml")).splitlines():
        if found := SECTION.match(line):
            section = found[1]
            keys.add(section)
        elif found := EXAMPLE_KEY.match(line):
            keys.add(f"{section}.{found[1]}")
    return keys


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [str(target) for target in local_links(page) if not target.exists()] == []


def anchors(page: Path) -> set[str]:
    """The headings of a page in the form links use."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_anchor_is_a_heading(page: Path) -> None:
    for target in LINK.findall(text_of(page)):
        path, mark, anchor = target.partition("#")
        if mark and "://" not in target:
            there = PROJECT_ROOT / page.parent / path if path else PROJECT_ROOT / page
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_of_the_code_named_exists(page: Path) -> None:
    package = PROJECT_ROOT / "src" / "overround"
    for name in CODE.findall(text_of(page)):
        root = PROJECT_ROOT if name.startswith(("tests/", "benches/")) else package
        assert (root / name).is_file(), name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_and_option_named_exists(page: Path) -> None:
    known = commands()
    for name, rest in CALL.findall(text_of(page)):
        if name in NOT_COMMANDS:
            continue
        assert name in known, f"overround {name}"
        assert set(OPTION.findall(rest)) <= known[name], f"overround {name}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_configuration_key_named_exists(page: Path) -> None:
    named = {key for key in KEY.findall(text_of(page)) if not key.endswith(".toml")}
    assert named - example_keys() == set()


def test_every_command_is_described() -> None:
    described = text_of(Path("docs/commands.md"))
    assert [name for name in commands() if f"`{name}" not in described] == []


def test_every_page_is_two_clicks_from_the_readme() -> None:
    first = {target.resolve() for target in local_links(Path("README.md"))}
    second = {target.resolve() for target in local_links(INDEX)}
    assert (PROJECT_ROOT / INDEX).resolve() in first
    adr = {path.resolve() for path in (PROJECT_ROOT / "docs" / "adr").glob("0*.md")}
    reached = first | second | adr  # the records are listed by docs/adr/README.md, which the index links
    pages = {(PROJECT_ROOT / page).resolve() for page in PAGES if page != Path("README.md")}
    assert pages - reached == set()
    assert adr <= {target.resolve() for target in local_links(Path("docs/adr/README.md"))}
