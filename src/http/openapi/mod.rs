//! The description of the API (OpenAPI 3.1): what handlers and types say of themselves, and what holds for all.
//!
//! Attributes of a handler have its path, parameters, bodies, and problems of its own. What follows from a rule is
//! added here: problems that can happen anywhere, `Idempotency-Key`, examples, the prefix of paths, unique names.

mod examples;
pub(super) mod page;
mod problems;
mod words;

pub(super) use problems::{Conflict, NotFound, TokenProblems};

use super::{
    Services, audit, backups, ceremonies, certificates, commands, credentials, doctor, exports, health, instance, keys,
    metrics, token, whoami,
};
use crate::backup::api::{DrillAnswer, RestoreAnswer};
use crate::base::fault::Entry;
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::OpenApi;

/// Show this description.
///
/// The same as `docs/openapi.json`; a page that renders it is at `/api/v1/docs`.
#[utoipa::path(get, path = "/openapi.json", tag = "description", security(()), responses((status = 200, body = Object)))]
pub(super) async fn show(State(services): State<Services>) -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(&(services.problems)())).as_str();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The description as JSON, with the codes that problems can have.
#[must_use]
pub fn document(codes: &[Entry]) -> String {
    let mut described = serde_json::to_value(Described::openapi()).unwrap_or_default();
    let mut document = words::frame(described["openapi"].take(), codes);
    document["paths"] = paths(described["paths"].take());
    document["components"] = components(described["components"]["schemas"].take(), codes);
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn paths(described: Value) -> Value {
    let mut paths = Map::new();
    for (path, mut item) in entries(described) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            complete(operation, method);
        }
        let is_of_api = !BESIDE.contains(&path.as_str());
        paths.insert(if is_of_api { format!("/api/v1{path}") } else { path }, item);
    }
    paths.into()
}

/// Adds to an operation what follows from a rule.
fn complete(operation: &mut Value, method: &str) {
    let tag = operation["tags"][0].as_str().unwrap_or_default();
    // A handler's name is unique in its file only.
    let name = format!("{tag}_{}", operation["operationId"].as_str().unwrap_or_default());
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        not_null(&mut parameter["schema"]);
        examples::name(parameter);
    }
    if method == "post" && !REPEATABLE.contains(&name.as_str()) {
        push(&mut operation["parameters"], json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
    }
    operation["operationId"] = name.into();
    if let Some(body) = operation.get_mut("requestBody") {
        // An archive is left out when the newest at the destination is meant.
        body["required"] = body["content"]["application/json"].is_object().into();
        contents(body);
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if response["$ref"].is_null() {
            response["description"] = words::outcome(status).into();
        }
        contents(response);
    }
    problems::put_into(operation);
}

/// A parameter is left out, never null.
fn not_null(schema: &mut Value) {
    if let Some(kinds) = schema["type"].as_array() {
        schema["type"] = kinds[0].clone();
    }
}

/// Gives examples to JSON, and the schema of bytes to what is not.
fn contents(body: &mut Value) {
    for (kind, content) in body.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
        match kind.as_str() {
            "application/json" => examples::put_into(content),
            "application/jsonl" | "application/openmetrics-text" => content["schema"] = json!({ "type": "string" }),
            _ => content["schema"] = json!({ "type": "string", "format": "binary" }),
        }
    }
}

fn components(mut schemas: Value, codes: &[Entry]) -> Value {
    for (name, schema) in schemas.as_object_mut().into_iter().flatten() {
        // A page of a generic list spells its entries out.
        if let Some(entry) = name.strip_prefix("Page_") {
            schema["properties"]["items"]["items"] = json!({ "$ref": format!("#/components/schemas/{entry}") });
        }
    }
    schemas["ProblemCode"] = problems::codes(codes);
    for holder in ["Problem", "Report"] {
        schemas[holder]["properties"]["code"] = json!({ "$ref": "#/components/schemas/ProblemCode" });
    }
    json!({
        "schemas": schemas,
        "responses": problems::responses(),
        "parameters": { "IdempotencyKey": words::idempotency_key() },
        "securitySchemes": words::security_schemes(),
    })
}

fn entries(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(entries) => entries,
        _ => Map::new(),
    }
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        _ => *list = json!([item]),
    }
}

/// Paths outside `/api/v1`.
const BESIDE: &[&str] = &["/healthz", "/metrics", "/readyz"];

/// POST operations that change nothing, that must be fast and may be done twice, or of which nothing is kept.
const REPEATABLE: &[&str] = &[
    "audit_checkpoint",
    "audit_verify",
    "backups_verify",
    "keys_sign",
    "token_change_pin",
    "token_seal",
    "token_unlock",
];

/// Every handler that answers to programs.
#[derive(OpenApi)]
#[openapi(
    paths(
        audit::checkpoint,
        audit::export,
        audit::records,
        audit::verify,
        backups::archive,
        backups::coverage,
        backups::drill,
        backups::list,
        backups::restore,
        backups::run,
        backups::show,
        backups::verify,
        ceremonies::import,
        ceremonies::keks,
        ceremonies::put_together,
        certificates::add,
        certificates::list,
        certificates::self_sign,
        certificates::show,
        commands::show,
        credentials::add,
        credentials::list,
        credentials::revoke,
        credentials::show,
        doctor::examine,
        exports::create,
        exports::list,
        exports::show,
        health::live,
        health::ready,
        instance::show,
        keys::adopt,
        keys::attestation,
        keys::csr,
        keys::destroy,
        keys::generate,
        keys::list,
        keys::public,
        keys::show,
        keys::sign,
        metrics::show,
        show,
        token::change_pin,
        token::home,
        token::list,
        token::probe,
        token::scan,
        token::seal,
        token::show,
        token::unlock,
        whoami::show,
    ),
    // Nothing refers to these: problems are added here, and the results of commands are any JSON.
    components(schemas(super::api::ProblemView, DrillAnswer, RestoreAnswer))
)]
struct Described;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn described() -> Value {
        serde_json::from_str(&document(crate::http::error::ENTRIES)).unwrap()
    }

    /// `get /keys`, from the lines of `routes.rs`; pages for people are no part of the description.
    fn routed() -> BTreeSet<String> {
        let mut routes = BTreeSet::new();
        for line in include_str!("../routes.rs").lines() {
            let Some((path, methods)) = line.trim().strip_prefix(".route(\"").and_then(|rest| rest.split_once('"'))
            else {
                continue;
            };
            for method in ["delete", "get", "post"].iter().filter(|method| methods.contains(&format!("{method}("))) {
                routes.insert(format!("{method} {path}"));
            }
        }
        routes.retain(|route| !route.starts_with("get /docs"));
        routes
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let mut operations = BTreeSet::new();

        for (path, item) in described()["paths"].as_object().unwrap() {
            let path = path.strip_prefix("/api/v1").unwrap_or(path);
            operations.extend(item.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
        }

        assert_eq!(operations, routed());
    }

    #[test]
    fn every_json_body_has_an_example() {
        let document = described();
        let mut without = Vec::new();

        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
        {
            let bodies = operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
            let json = bodies.map(|body| &body["content"]["application/json"]).filter(|content| !content.is_null());
            without
                .extend(json.filter(|content| content["example"].is_null()).map(|_| operation["operationId"].clone()));
        }

        assert_eq!(without, ["description_show"], "add an example to openapi/examples.json");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let text = document(crate::http::error::ENTRIES);
        let document = described();

        let references: BTreeSet<_> =
            text.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();

        let lost: Vec<_> = references.iter().filter(|path| document.pointer(path).is_none()).collect();
        assert!(references.len() > 50 && lost.is_empty(), "{lost:?}");
    }
}
