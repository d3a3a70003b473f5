"""Schema revisions: Alembic scripts for SQLite and PostgreSQL, and what is known of them without Alembic.

A store at ``HEAD`` needs no Alembic at all (importing it costs more than opening the store); a new one is
created from the schema and stamped. Tests prove that both ways give the same tables.
"""

from pathlib import Path

from sqlalchemy import Engine

REVISIONS = ("0001",)
"""All revisions, oldest first."""

HEAD = REVISIONS[-1]
"""The revision that ``overround.storage.schema`` describes."""


def upgrade(engine: Engine) -> None:
    """Bring the store up to ``HEAD`` in one transaction. Raises what the database raises."""
    from alembic import command  # noqa: PLC0415 - slow to import and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
