//! An example for each body, by the name of its schema. The values hang together: one key, one backup, one instance.

use serde_json::{Value, json};
use std::sync::LazyLock;

/// Gives the example of its schema to a body.
pub(super) fn put_into(content: &mut Value) {
    let name = content["schema"]["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let example = match name.strip_prefix("Page_") {
        Some(entry) => EXAMPLES.get(entry).map(|example| json!({ "items": [example], "next": null })),
        None => EXAMPLES.get(name).cloned(),
    };
    if let Some(example) = example {
        content["example"] = example;
    }
}

/// Gives a name to a path: that of the key or backup in the other examples.
pub(super) fn name(parameter: &mut Value) {
    let example = match parameter["name"].as_str() {
        Some("key") => "web",
        Some("sequence") => "7",
        _ => return,
    };
    parameter["example"] = example.into();
}

static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());
