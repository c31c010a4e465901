-- +goose Up
CREATE TABLE customers (id bigint);
-- +goose Down
DROP TABLE customers;
