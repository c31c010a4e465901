--liquibase formatted sql

--changeset payments:refund-payments
ALTER TABLE payments ADD COLUMN refunded_at timestamptz;
--rollback ALTER TABLE payments DROP COLUMN refunded_at;

--changeset payments:index-refunds runInTransaction:false
CREATE INDEX CONCURRENTLY payments_refunded_at ON payments (refunded_at);
--rollback DROP INDEX CONCURRENTLY payments_refunded_at;
