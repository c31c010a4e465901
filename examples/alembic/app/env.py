from alembic import context
from sqlalchemy import create_engine, pool

# libpq finds the database by its own variables, PGHOST and the like.
with create_engine("postgresql+psycopg2://", poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
