//! What the description says that no handler and no type can: who may come in, limits, forms that all answers share.

use super::{
    super::routes::{ARCHIVE_BYTES, BODY_BYTES},
    problems,
};
use crate::base::fault::Entry;
use serde_json::{Value, json};

/// The description without paths and components.
pub(super) fn frame(openapi: Value, codes: &[Entry]) -> Value {
    json!({
        "openapi": openapi,
        "info": {
            "title": "keyward",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Private keys in a PKCS#11 token: signatures, certificates, backups, exports, an audit log.",
            "description": about(),
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [
            { "url": "/", "description": "Where this description came from" },
            { "url": "https://127.0.0.1:8443", "description": "The listener's default address" },
        ],
        "security": [{ "apiToken": [] }, { "clientCertificate": [] }],
        "tags": tags(),
        "x-problems": problems::table(codes),
    })
}

fn about() -> String {
    ABOUT.replace("BODY", &mebibytes(BODY_BYTES)).replace("ARCHIVE", &mebibytes(ARCHIVE_BYTES))
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}

fn tags() -> Value {
    TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect()
}

pub(super) fn security_schemes() -> Value {
    json!({
        "apiToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "kwt_…",
            "description": "An API token, made by `keyward credential add`. It counts before a client certificate.",
        },
        "clientCertificate": {
            "type": "mutualTLS",
            "description": "A client certificate that the instance's CA issued (`keyward credential add --csr`).",
        },
    })
}

pub(super) fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "A name that you choose for this request, best a random UUID. Sent again with the same key, the \
                        request is not done again; the first answer comes back.",
        "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" },
        "example": "0b5a9f0e-6d1c-4a55-9d5a-3f0a7c1f6f9d",
    })
}

/// What a success of this status means where the handler does not say.
pub(super) const fn outcome(status: &str) -> &'static str {
    match status.as_bytes() {
        b"201" => "Made.",
        b"503" => "Not ready; another instance should be asked.",
        b"202" => "The work has begun; `Location` names the command that it is followed by.",
        _ => "Done.",
    }
}

const TAGS: &[(&str, &str)] = &[
    ("keys", "Keys in the token, and what they sign"),
    ("certificates", "Certificates of keys"),
    ("exports", "Controlled release of keys"),
    ("backups", "Archives, restores, drills, coverage"),
    ("ceremonies", "The ceremony secret and the KEKs that it gives"),
    ("commands", "Long work"),
    ("audit", "Who did what, in logs that show tampering"),
    ("credentials", "Who is let in: API tokens and client certificates"),
    ("token", "The token and what it can do"),
    ("instance", "The instance itself"),
    ("health", "Whether the process lives and signs, and figures for an operator"),
    ("description", "This description"),
];

const ABOUT: &str = "\
JSON over HTTPS (TLS 1.3), or over the Unix socket `keyward.sock` in the instance directory.

**Who calls.** An API token in `Authorization: Bearer kwt_…`, or a client certificate of the instance's CA. At the Unix \
socket no credential is needed: the system says which user calls.

**Problems** are RFC 9457 documents (`application/problem+json`). `code` is stable, `detail` has the particulars, \
`advice` the next step, `request_id` is in the log. Besides what each operation lists, a path without a route answers \
404 and a method that a route lacks 405, with `Allow`. Answers 503 that may pass have `Retry-After`.

**Limits.** A body has at most BODY, an archive ARCHIVE. A signature request has 1 to 64 digests or messages. Unknown \
fields and parameters are refused.

**Pages.** A list is `{\"items\": […], \"next\": …}`. Give `next` as `after` to have the next page; it is null on the last.

**Long work** (backup, restore, drill) answers 202 with a command. Follow it at `Location`, waiting with `wait_ms`.

**Again.** A request that changes something can carry `Idempotency-Key`, so that it is done once however often it is \
sent.";
