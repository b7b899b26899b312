"""What alembic runs to turn the versions beside it into SQL; nothing connects from here."""

from alembic import context

context.configure(dialect_name="postgresql", transactional_ddl=False)
context.run_migrations()
