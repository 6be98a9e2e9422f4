//! Tests of `doctor`.

mod steps;
mod tokens;

use crate::support::{Ended, Rig};
use serde_json::Value;

/// Runs `keyward doctor`, which must end with this exit code; gives its report.
#[track_caller]
fn doctor(rig: &Rig, arguments: &[&str], exit: i32) -> Value {
    let mut all = vec!["-o", "json", "doctor"];
    all.extend(arguments);
    report(&rig.keyward(&all), exit)
}

#[track_caller]
fn report(ended: &Ended, exit: i32) -> Value {
    let report = ended.json();
    assert_eq!(ended.code, exit, "{report:#}");
    report
}

/// `what` and `outcome` of findings.
fn outcomes(findings: &Value) -> Vec<(&str, &str)> {
    let all = findings.as_array().unwrap().iter();
    all.map(|finding| (finding["what"].as_str().unwrap(), finding["outcome"].as_str().unwrap())).collect()
}

/// The finding of this name.
#[track_caller]
fn finding<'a>(findings: &'a Value, what: &str) -> &'a Value {
    let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
    found.unwrap_or_else(|| panic!("no `{what}` in {findings:#}"))
}
