import sqlalchemy as sa
from alembic import op

revision = "20260210093000"
down_revision = "20260105100000"


def upgrade():
    op.add_column("invoices", sa.Column("paid_at", sa.DateTime(timezone=True)))


def downgrade():
    op.drop_column("invoices", "paid_at")
