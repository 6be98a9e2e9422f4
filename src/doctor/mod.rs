//! Doctor: looks at the instance and at each of its tokens, and says what each finding means and what to do.
//!
//! Looking changes nothing but scratch keys, which are destroyed. `fix` mends only where nothing can be lost, and what
//! it did is recorded. A token that cannot be used is still looked at step by step: the first step that fails is named,
//! those after it are not tried.

pub mod api;
mod files;
mod instance;
mod steps;
mod trials;

use crate::access::{AccessError, require};
use crate::audit::{ObjectRef, Verdict};
use crate::backup::Backups;
use crate::base::principal::{Caller, Role};
use api::DoctorReport;
use serde_json::json;

/// Whether to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Look, and mend what can be mended without losing anything.
    Fix,
    /// Look.
    Look,
}

/// Looks at everything.
///
/// # Errors
/// The caller may not; whatever else goes wrong is a finding.
pub async fn examine(backups: &Backups, caller: &Caller, mode: Mode) -> Result<DoctorReport, AccessError> {
    require(caller, &[Role::Operator, Role::Admin])?;
    let fixed = match mode {
        Mode::Fix => fix(backups, caller).await,
        Mode::Look => Vec::new(),
    };
    let mut tokens = Vec::new();
    for token in backups.keys.tokens.iter() {
        tokens.push(steps::examine(&backups.keys, token).await);
    }
    Ok(DoctorReport::new(instance::examine(backups).await, tokens, fixed))
}

async fn fix(backups: &Backups, caller: &Caller) -> Vec<String> {
    let fixed = files::mend(&backups.directory);
    if !fixed.is_empty() {
        let object = ObjectRef::new("instance", "", "");
        let verdict = Verdict::ok(json!({ "fixed": fixed }));
        if let Err(error) = backups.keys.audit.event(caller, "doctor.fix", &object, verdict).await {
            tracing::error!(%error, "what doctor has mended could not be recorded");
        }
    }
    fixed
}
