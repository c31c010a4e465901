CREATE TABLE orders (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer   text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO orders (customer) VALUES ('Ada'), ('Grace'), ('Barbara');
