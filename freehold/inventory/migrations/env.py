"""Run by alembic: migrates over the connection, and inside the transaction, of `freehold.inventory.engine`."""

from alembic import context

from freehold.inventory.schema import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
context.run_migrations()
