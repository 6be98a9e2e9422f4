//! Problems in the description: which statuses an operation can answer, and every code there is.

use super::{super::problem::status, examples};
use crate::base::fault::Entry;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses,
    openapi::{Ref, RefOr, Response},
};

/// For operations that can contradict what exists already.
pub(in crate::http) struct Conflict;

/// For operations whose body names an object.
pub(in crate::http) struct NotFound;

/// For operations that need the token for their answer.
pub(in crate::http) struct TokenProblems;

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[409])
    }
}

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[404])
    }
}

impl IntoResponses for TokenProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        references(&[423, 501])
    }
}

fn references(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let reference = |status: &u16| (status.to_string(), Ref::new(path(*status)).into());
    statuses.iter().map(reference).collect()
}

/// Adds the problems that follow from the form of an operation.
pub(super) fn put_into(operation: &mut Value) {
    if operation.get("security").is_some() {
        // Nobody is asked for a credential, and nothing is read.
        return;
    }
    let mut statuses = vec![401, 403, 422, 429, 500, 503];
    if operation
        .get("parameters")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|one| one["in"] == "path"))
    {
        statuses.push(404);
    }
    if operation.get("requestBody").is_some() {
        statuses.extend([408, 413]);
    }
    if is_keyed(operation) {
        // The key is that of another request, or of one that is at work.
        statuses.push(409);
    }
    for status in statuses {
        operation["responses"][status.to_string()] = json!({ "$ref": path(status) });
    }
}

/// Whether `Idempotency-Key` is heeded.
fn is_keyed(operation: &Value) -> bool {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    parameters.is_some_and(|all| all.iter().any(|one| one["$ref"] == "#/components/parameters/IdempotencyKey"))
}

/// The components that operations refer to.
pub(super) fn responses() -> Value {
    let mut responses = Map::new();
    for (status, name, description) in STATUSES {
        let mut problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        examples::put_into(&mut problem);
        let mut response = json!({ "description": description, "content": { "application/problem+json": problem } });
        if let Some((header, text)) = header(*status) {
            response["headers"] = json!({ header: { "description": text, "schema": { "type": "string" } } });
        }
        responses.insert((*name).to_owned(), response);
    }
    responses.into()
}

/// The schema of a code.
pub(super) fn codes(entries: &[Entry]) -> Value {
    let codes: Vec<_> = entries.iter().map(|entry| entry.code).collect();
    json!({
        "type": "string",
        "description": "Stable names of problems; programs branch on them. A later version can have more.",
        "enum": codes,
    })
}

/// Every problem with its status and what to do about it, for people.
pub(super) fn table(entries: &[Entry]) -> Value {
    let row = |entry: &Entry| {
        json!({
            "code": entry.code,
            "status": status(&entry.report(String::new())).as_u16(),
            "kind": entry.kind,
            "title": entry.title,
            "advice": entry.advice,
        })
    };
    entries.iter().map(row).collect()
}

fn path(status: u16) -> String {
    let name = STATUSES.iter().find(|row| row.0 == status).map_or("Internal", |row| row.1);
    format!("#/components/responses/{name}")
}

const fn header(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        401 => Some(("WWW-Authenticate", "`Bearer`")),
        429 | 503 => Some(("Retry-After", "After how many seconds to try again")),
        _ => None,
    }
}

const STATUSES: &[(u16, &str, &str)] = &[
    (401, "Unidentified", "No credential was shown, or one that is unknown, expired or revoked."),
    (403, "Denied", "The caller may not do this: role, key or policy."),
    (404, "NotFound", "The object does not exist, or the caller may not know of it."),
    (408, "TooSlow", "The body did not arrive in time."),
    (409, "Conflict", "The request contradicts what exists already."),
    (413, "TooLarge", "The body is larger than the route takes."),
    (422, "Invalid", "The request cannot be understood, or does not hold together."),
    (423, "Locked", "A PIN stands in the way."),
    (429, "TooMany", "This credential has made too many requests."),
    (500, "Internal", "A fault of keyward itself; its particulars are in the log under `request_id`."),
    (501, "Unsupported", "The token cannot do it at all."),
    (503, "Unavailable", "Something needed is down, full, busy or absent; the same request may work later."),
];
