-- Keys that another program made: which object each is, and what that said of itself when it was adopted (JSON).
-- `cka_id` and `cka_label` are base64.
CREATE TABLE adoptions (
    key_id TEXT PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    cka_id TEXT NOT NULL,
    cka_label TEXT NOT NULL,
    attributes TEXT NOT NULL,
    adopted_at BIGINT NOT NULL
);
