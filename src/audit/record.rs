//! One audit record: a line of canonical JSON, stored and hashed as it is.

use super::{
    canonical::{made_canonical, to_canonical},
    error::AuditError,
};
use crate::base::{
    algorithm::named,
    ids::RequestId,
    principal::{Caller, Principal},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

named! {
    /// One of the two logs.
    #[derive(Default)]
    Log, "audit log" {
        /// What changes or releases something, and every refusal.
        #[default]
        Management = "management",
        /// Signatures and decryptions.
        Signatures = "signatures",
    }
}

named! {
    /// Where in an act a record stands.
    Phase, "phase" {
        /// Complete in itself.
        Event = "event",
        /// Before the effect.
        Intent = "intent",
        /// After the effect; names its intent.
        Result = "result",
    }
}

named! {
    /// How an act ended.
    Outcome, "outcome" {
        /// Refused: the caller may not.
        Denied = "denied",
        /// Did not work.
        Failed = "failed",
        /// Done.
        Ok = "ok",
    }
}

/// What an act was done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectRef {
    /// `key`, `backup`, `destination` …
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name for people; empty where it has none.
    pub label: String,
}

/// One record of either log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Position in its log, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The log it is in.
    pub log: Log,
    /// Noun and verb, like `key.generate`.
    pub event: String,
    /// Intent, result, or complete in itself.
    pub phase: Phase,
    /// Of a result: the sequence number of its intent.
    pub intent: Option<u64>,
    /// Who.
    pub principal: Principal,
    /// To what.
    pub object: ObjectRef,
    /// How it ended; an intent has none yet.
    pub outcome: Option<Outcome>,
    /// The error's stable code; empty when it ended well.
    pub code: String,
    /// The request, as in logs and problem documents.
    pub request_id: RequestId,
    /// What else belongs to this event.
    pub detail: Map<String, Value>,
}

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// Not JSON, or not these fields.
    #[error("not an audit record: {0}")]
    Malformed(String),
    /// A record, but not in its canonical form.
    #[error("not in canonical form (RFC 8785)")]
    NotCanonical,
}

impl ObjectRef {
    /// An object by kind, id and name.
    #[must_use]
    pub fn new(kind: &str, id: impl fmt::Display, label: impl fmt::Display) -> Self {
        Self { kind: kind.to_owned(), id: id.to_string(), label: label.to_string() }
    }
}

impl Record {
    /// A record without number and time, which it gets when it is written: complete in itself, and done.
    pub(super) fn draft(log: Log, event: &str, caller: &Caller, object: &ObjectRef) -> Self {
        Self {
            seq: 0,
            time: Timestamp::from_millis(0),
            log,
            event: event.to_owned(),
            phase: Phase::Event,
            intent: None,
            principal: caller.principal().clone(),
            object: object.clone(),
            outcome: Some(Outcome::Ok),
            code: String::new(),
            request_id: caller.request,
            detail: Map::new(),
        }
    }

    /// The record's line, without the line end.
    ///
    /// # Errors
    /// A number in it has no canonical form.
    pub fn to_line(&self) -> Result<String, AuditError> {
        let unencodable = |cause: String| AuditError::RecordUnencodable { event: self.event.clone(), cause };
        let value = serde_json::to_value(self).map_err(|cause| unencodable(cause.to_string()))?;
        to_canonical(&value).map_err(|cause| unencodable(cause.to_string()))
    }

    /// Reads a line, which must be exactly what [`Record::to_line`] gives.
    ///
    /// # Errors
    /// Another JSON text, other fields, or the same value written in another way.
    pub fn from_line(line: &[u8]) -> Result<Self, NotARecord> {
        let record: Self = serde_json::from_slice(line).map_err(|cause| NotARecord::Malformed(cause.to_string()))?;
        let canonical = record.to_line().map_err(|_| NotARecord::NotCanonical)?;
        if canonical.as_bytes() == line { Ok(record) } else { Err(NotARecord::NotCanonical) }
    }
}

/// The detail of a record: an object stays one, nothing is `{}`, anything else is wrapped as `{"value":…}`.
///
/// Numbers without a canonical form become texts, so that no record is lost for one.
pub(super) fn detail_of(detail: Value) -> Map<String, Value> {
    match made_canonical(detail) {
        Value::Null => Map::new(),
        Value::Object(members) => members,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_exactly_the_contracts_fields_in_canonical_order() {
        let line = record(7).to_line().unwrap();

        assert_eq!(
            line,
            r#"{"code":"","detail":{},"event":"key.generate","intent":null,"log":"management","#.to_owned()
                + r#""object":{"id":"0190b2a1-0000-7000-8000-000000000001","kind":"key","label":"web"},"#
                + r#""outcome":"ok","phase":"event","principal":{"id":"u-1","kind":"person","name":"Zoë"},"#
                + r#""request_id":"0190b2a1-0000-7000-8000-000000000002","seq":7,"time":"2026-01-02T03:04:05.006Z"}"#
        );
        assert_eq!(Record::from_line(line.as_bytes()), Ok(record(7)));
    }

    #[test]
    fn a_line_that_says_the_same_in_another_way_is_not_canonical() {
        let line = record(7).to_line().unwrap();
        let others = [
            line.replace(r#""seq":7"#, r#""seq": 7"#),
            line.replace(r#""code":"","#, r#""code":"","code":"","#),
            line.replace(r#""intent":null,"#, ""),
            line.replace("web", r"\u0077eb"),
            line.replace("05.006Z", "05.0060Z"),
            line.replace("0190b2a1-0000-7000-8000-000000000002", "0190B2A1-0000-7000-8000-000000000002"),
            line.replace(r#""name":"Zoë""#, r#""name":"Zoë","role":"admin""#),
            line.replace(r#""detail":{}"#, r#""detail":{"a":1.0}"#),
        ];

        for other in others {
            assert_ne!(other, line);
            assert!(Record::from_line(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_line_with_a_missing_or_another_field_is_malformed() {
        let line = record(7).to_line().unwrap();

        for other in [line.replace(r#""code":"","#, ""), line.replace(r#""seq":7"#, r#""seq":7,"x":1"#)] {
            assert!(matches!(Record::from_line(other.as_bytes()), Err(NotARecord::Malformed(_))), "{other}");
        }
    }

    #[test]
    fn a_detail_is_always_an_object() {
        assert_eq!(Value::from(detail_of(json!({ "days": 1.5 }))), json!({ "days": "1.5" }));
        assert_eq!(Value::from(detail_of(Value::Null)), json!({}));
        assert_eq!(Value::from(detail_of(json!(["a"]))), json!({ "value": ["a"] }));
    }
}
