import sqlalchemy as sa
from alembic import op

# An id that begins with a time puts revisions into an order, which Alembic's own have not: revision --rev-id.
revision = "20260105100000"
down_revision = None


def upgrade():
    op.create_table("invoices", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("cents", sa.BigInteger, nullable=False))


def downgrade():
    op.drop_table("invoices")
