-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY ON customers (id);
