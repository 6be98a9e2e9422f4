-- Requests under an `Idempotency-Key`: each takes effect once. `body_sha256` and `answer` are null where there is
-- nothing to compare or to repeat.
CREATE TABLE claims (
    principal TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    body_sha256 TEXT,
    answer TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal, idempotency_key)
);
CREATE INDEX claims_by_time ON claims (created_at);
