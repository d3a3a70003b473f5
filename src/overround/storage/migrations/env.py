"""Alembic's entry: runs revisions on the connection it is given, or prints their SQL (offline mode)."""

from alembic import context
from sqlalchemy import Connection

from overround.storage.schema import metadata


def run() -> None:
    """Run the revisions Alembic was asked for."""
    connection = context.config.attributes.get("connection")
    if isinstance(connection, Connection):
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    else:
        context.configure(
            dialect_name=context.config.attributes["dialect"], target_metadata=metadata, literal_binds=True
        )
    with context.begin_transaction():
        context.run_migrations()


run()
