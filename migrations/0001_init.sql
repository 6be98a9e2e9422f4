-- TEXT and BIGINT only, so that the same file serves SQLite and PostgreSQL.
-- Ids are hyphenated UUIDs, times milliseconds since 1970, flags 0 or 1, lists and objects JSON.

CREATE TABLE instance (
    id TEXT PRIMARY KEY,
    writer TEXT NOT NULL,
    posture TEXT NOT NULL,
    owner_uid BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    label TEXT PRIMARY KEY,
    capabilities TEXT NOT NULL,
    probed_at BIGINT NOT NULL
);

CREATE TABLE keks (
    id TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    kcv TEXT NOT NULL,
    trusted BIGINT NOT NULL,
    provisional BIGINT NOT NULL,
    is_current BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    policy TEXT NOT NULL,
    enforcement TEXT NOT NULL,
    purpose TEXT NOT NULL,
    approvals BIGINT NOT NULL,
    origin TEXT NOT NULL,
    state TEXT NOT NULL,
    presence TEXT NOT NULL,
    token TEXT NOT NULL,
    public_key_pem TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tombstones (
    key_id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    policy TEXT NOT NULL,
    public_key_pem TEXT NOT NULL,
    destroyed_at BIGINT NOT NULL
);

CREATE TABLE certificates (
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES keys (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    pem TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX certificates_by_key ON certificates (key_id);

-- Where copies of a key are: in archives (kind backup) and in people's files (kind export).
CREATE TABLE copies (
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    holder TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, kind, holder)
);

CREATE TABLE proofs (
    key_id TEXT PRIMARY KEY,
    drill_id TEXT NOT NULL,
    proved_at BIGINT NOT NULL
);

CREATE TABLE backups (
    sequence BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    keys_wrapped BIGINT NOT NULL,
    keks TEXT NOT NULL,
    not_covered TEXT NOT NULL,
    destinations TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE drills (
    id TEXT PRIMARY KEY,
    report TEXT NOT NULL,
    finished_at BIGINT NOT NULL
);

CREATE TABLE exports (
    id TEXT PRIMARY KEY,
    key_id TEXT NOT NULL,
    label TEXT NOT NULL,
    record TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    principal TEXT NOT NULL,
    request_id TEXT NOT NULL,
    result TEXT,
    problem TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);

-- One row a log: `size` is the sequence number of its last record.
CREATE TABLE audit_logs (
    log TEXT PRIMARY KEY,
    size BIGINT NOT NULL
);

CREATE TABLE audit_records (
    seq BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    event TEXT NOT NULL,
    phase TEXT NOT NULL,
    intent BIGINT,
    principal_id TEXT NOT NULL,
    object_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX audit_records_by_intent ON audit_records (intent);
INSERT INTO audit_logs (log, size) VALUES ('management', 0);
