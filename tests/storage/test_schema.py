"""The schema: the same whether created or migrated, on SQLite and PostgreSQL, documented column by column."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import BigInteger, Engine, Float, Numeric, create_engine, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from overround.storage import engine as engine_module
from overround.storage import migrations
from overround.storage.engine import Durability, open_store, read_store
from overround.storage.errors import StoreError
from overround.storage.schema import OBSERVATIONS, PROJECTIONS, journal, metadata, projection_cursors
from tests.storage.journals import database

DOCS = Path(__file__).parents[2] / "docs" / "store.md"


def shape(engine: Engine) -> dict[str, Any]:
    """Return everything the database says about its tables."""
    found = inspect(engine)
    return {
        name: (
            [{key: str(value) for key, value in column.items()} for column in found.get_columns(name)],
            found.get_pk_constraint(name),
            sorted(found.get_indexes(name), key=lambda index: str(index["name"])),
        )
        for name in sorted(found.get_table_names())
    }


def script_config(**attributes: Any) -> Config:
    config = Config(output_buffer=io.StringIO(), attributes=attributes)
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def test_created_and_migrated_databases_are_equal(tmp_path: Path) -> None:
    created = open_store(database(tmp_path), Durability.FULL)
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    migrations.upgrade(migrated)
    assert shape(created) == shape(migrated)
    with migrated.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == migrations.HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    created.dispose()
    migrated.dispose()


def test_the_known_revisions_are_the_scripts() -> None:
    scripts = ScriptDirectory.from_config(script_config())
    assert tuple(found.revision for found in reversed(list(scripts.walk_revisions()))) == migrations.REVISIONS


def test_downgrading_leaves_nothing(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    migrations.upgrade(engine)
    with engine.begin() as connection:
        command.downgrade(script_config(connection=connection), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_the_sql_for_postgresql_can_be_printed() -> None:
    config = script_config(dialect="postgresql")
    command.upgrade(config, "head", sql=True)
    assert isinstance(config.output_buffer, io.StringIO)
    printed = config.output_buffer.getvalue()
    for table in metadata.sorted_tables:
        assert f"CREATE TABLE {table.name} (" in printed
        columns = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        assert "SERIAL" not in columns
    assert "payload BYTEA NOT NULL" in printed


def test_money_is_never_a_float_and_always_fits() -> None:
    for table in metadata.sorted_tables:
        for column in table.columns:
            assert not isinstance(column.type, Float | Numeric), column
            if column.name.endswith(("_e6", "_ms", "_ns", "_us")):
                assert isinstance(column.type, BigInteger), column


def test_every_table_is_truth_projection_or_observation() -> None:
    assert {journal, projection_cursors, *PROJECTIONS, *OBSERVATIONS} == set(metadata.sorted_tables)


def test_opening_an_old_store_upgrades_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = database(tmp_path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0000')"))
    engine.dispose()
    monkeypatch.setattr(engine_module, "REVISIONS", ("0000", *migrations.REVISIONS))
    with pytest.raises(StoreError, match="an older store: start the service once, it upgrades the store"):
        read_store(path)
    upgraded: list[Engine] = []
    monkeypatch.setattr(engine_module, "upgrade", upgraded.append)
    opened = open_store(path, Durability.FULL)
    assert upgraded == [opened]
    opened.dispose()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"choose another service\.data_dir"):
        open_store(database(tmp_path / "file" / "below"), Durability.FULL)


@pytest.mark.parametrize(("durability", "level"), [(Durability.FULL, 2), (Durability.NORMAL, 1)])
def test_connections_are_as_durable_as_asked(tmp_path: Path, durability: Durability, level: int) -> None:
    engine = open_store(database(tmp_path), durability)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == level
    engine.dispose()


def test_every_column_is_documented() -> None:
    sections = re.split(r"^### `([a-z_]+)`", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    documented = dict(zip(sections[1::2], sections[2::2], strict=True))
    for table in metadata.sorted_tables:
        names = re.findall(r"^\| `([a-z0-9_]+)`", documented[table.name], flags=re.MULTILINE)
        assert names == [column.name for column in table.columns], table.name
