//! What a doctor answers: findings, each with what it means and what to do.

use crate::base::algorithm::named;
use crate::token::api::Capabilities;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

named! {
    /// How a check came out.
    CheckOutcome, "outcome" {
        /// As it should be.
        Ok = "ok",
        /// It works, and there is something to know or to do.
        Notice = "notice",
        /// Something does not work, or a promise does not hold.
        Failed = "failed",
        /// What it needs has failed before it.
        NotTried = "not-tried",
    }
}

/// What was found in one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What was seen.
    pub seen: String,
    /// What that means.
    pub means: String,
    /// What to do; empty if nothing.
    pub to_do: String,
}

/// A token, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenFindings {
    /// Its label.
    pub label: String,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
    /// What the trials showed; none if they could not be made.
    pub capabilities: Option<Capabilities>,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorReport {
    /// The worst of all findings.
    pub outcome: CheckOutcome,
    /// The instance itself.
    pub instance: Vec<Finding>,
    /// Each token, the instance's own first.
    pub tokens: Vec<TokenFindings>,
    /// What was mended, if that was asked for.
    pub fixed: Vec<String>,
}

/// How to look.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DoctorQuery {
    /// Mend what can be mended without losing anything.
    #[serde(default)]
    pub fix: bool,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(what: &str, seen: impl Into<String>, means: &str) -> Self {
        Self {
            what: what.to_owned(),
            outcome: CheckOutcome::Ok,
            seen: seen.into(),
            means: means.to_owned(),
            to_do: String::new(),
        }
    }

    /// It works, and there is something to know or to do.
    #[must_use]
    pub fn notice(what: &str, seen: impl Into<String>, means: &str, to_do: &str) -> Self {
        Self { outcome: CheckOutcome::Notice, to_do: to_do.to_owned(), ..Self::ok(what, seen, means) }
    }

    /// It does not work.
    #[must_use]
    pub fn failed(what: &str, seen: impl Into<String>, means: &str, to_do: &str) -> Self {
        Self { outcome: CheckOutcome::Failed, to_do: to_do.to_owned(), ..Self::ok(what, seen, means) }
    }

    /// What it needs has failed before it.
    #[must_use]
    pub fn not_tried(what: &str) -> Self {
        Self { outcome: CheckOutcome::NotTried, ..Self::ok(what, "", "needs what failed above") }
    }
}

impl DoctorReport {
    /// Puts the findings together.
    #[must_use]
    pub fn new(instance: Vec<Finding>, tokens: Vec<TokenFindings>, fixed: Vec<String>) -> Self {
        let findings = || instance.iter().chain(tokens.iter().flat_map(|token| &token.findings));
        let is = |outcome| findings().any(|finding| finding.outcome == outcome);
        let outcome = match () {
            () if is(CheckOutcome::Failed) => CheckOutcome::Failed,
            () if is(CheckOutcome::Notice) => CheckOutcome::Notice,
            () => CheckOutcome::Ok,
        };
        Self { outcome, instance, tokens, fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_good_as_its_worst_finding() {
        let (ok, notice) = (Finding::ok("a", "", ""), Finding::notice("b", "", "", ""));
        let token = |finding| TokenFindings { label: String::new(), findings: vec![finding], capabilities: None };
        let outcome = |finding: Finding| DoctorReport::new(vec![ok.clone()], vec![token(finding)], Vec::new()).outcome;

        assert_eq!(outcome(ok.clone()), CheckOutcome::Ok);
        assert_eq!(outcome(notice), CheckOutcome::Notice);
        assert_eq!(outcome(Finding::failed("c", "", "", "")), CheckOutcome::Failed);
    }
}
