//! The instance's own checks: files, database, KEKs, backups, clock.

use super::{api::Finding, files};
use crate::backup::{self, Backups, api::Light, coverage::coverage};
use crate::base::{fault::Report, time::Timestamp};
use crate::db::instance;
use crate::keys::keks;

/// Looks at the instance.
pub(super) async fn examine(backups: &Backups) -> Vec<Finding> {
    // Without these two nothing could look.
    let mut findings = vec![
        Finding::ok("settings", "keyward.toml", "they hold together"),
        Finding::ok("lock", "keyward.lock", "this process has the instance to itself"),
    ];
    findings.extend(files::examine(&backups.directory));
    findings.push(database(backups).await);
    findings.push(ceremony(backups).await);
    findings.extend(copies(backups).await);
    findings.push(clock(backups).await);
    findings
}

async fn database(backups: &Backups) -> Finding {
    const WHAT: &str = "database";
    let to_do = "stop keyward, keep a copy of keyward.db, and restore the latest backup into a new instance";
    match backups.keys.db.faults().await {
        Ok(faults) if faults.is_empty() => Finding::ok(WHAT, "whole", "every page and index of keyward.db was read"),
        Ok(faults) => Finding::failed(WHAT, faults.join("; "), "keyward.db is damaged", to_do),
        Err(error) => Finding::failed(WHAT, error.to_string(), "keyward.db cannot be read", to_do),
    }
}

async fn ceremony(backups: &Backups) -> Finding {
    const WHAT: &str = "KEKs";
    let current: Vec<_> = match keks::all(&backups.keys).await {
        Ok(all) => all.into_iter().filter(|kek| kek.current).collect(),
        Err(error) => return unreadable(WHAT, &error),
    };
    let seen = current.iter().map(|kek| format!("{} {}{}", kek.purpose, kek.kcv, trust(kek.trusted)));
    let seen = seen.collect::<Vec<_>>().join(", ");
    if current.is_empty() {
        Finding::failed(WHAT, "none", "nothing can be backed up", "bring them by `keyward ceremony recover`")
    } else if current.iter().any(|kek| kek.provisional) {
        Finding::notice(
            WHAT,
            seen,
            "provisional: one share file opens every backup",
            "keep share-provisional.txt in a safe place, away from this machine",
        )
    } else {
        Finding::ok(WHAT, seen, "from a ceremony")
    }
}

const fn trust(trusted: bool) -> &'static str {
    if trusted { " (trusted)" } else { "" }
}

async fn copies(backups: &Backups) -> Vec<Finding> {
    const LAST: &str = "last backup";
    const COVERAGE: &str = "coverage";
    let run = "`keyward backup run`, then `keyward backup drill latest`";
    let summary = match coverage(backups).await {
        Ok(answer) => answer.summary,
        Err(error) => return vec![unreadable(COVERAGE, &error)],
    };
    let last = match backup::list(&backups.keys.db).await {
        Ok(all) => all.into_iter().next(),
        Err(error) => return vec![unreadable(LAST, &error)],
    };
    let last = match last {
        None => Finding::notice(LAST, "none", "if the token is lost, every key is", run),
        Some(last) => {
            let seen = format!("number {} of {}, {}", last.sequence, last.created_at, last.state);
            match last.state {
                Light::Red => Finding::failed(LAST, seen, "it lacks keys that it should have", run),
                _ => Finding::ok(LAST, seen, "its archive was read back when it was stored"),
            }
        }
    };
    let seen = format!(
        "{} green, {} amber, {} red, {} token-only",
        summary.green, summary.amber, summary.red, summary.token_only
    );
    let coverage = if summary.red > 0 {
        Finding::notice(COVERAGE, seen, "a red key is in no backup", run)
    } else if summary.amber > 0 {
        Finding::notice(COVERAGE, seen, "an amber key was not proved lately", "`keyward backup drill latest`")
    } else {
        Finding::ok(COVERAGE, seen, "every key that can be is backed up and proved")
    };
    vec![last, coverage]
}

async fn clock(backups: &Backups) -> Finding {
    const WHAT: &str = "clock";
    let now = backups.keys.clock.now();
    let mut known: Vec<Timestamp> = Vec::new();
    if let Ok(Some(row)) = instance::read(&backups.keys.db).await {
        known.push(row.created_at);
    }
    if let Ok(all) = backup::list(&backups.keys.db).await {
        known.extend(all.iter().map(|backup| backup.created_at));
    }
    match known.into_iter().max().filter(|latest| *latest > now) {
        None => Finding::ok(WHAT, now.to_string(), "it is after everything that was recorded"),
        Some(latest) => Finding::failed(
            WHAT,
            format!("{now}, before {latest}"),
            "it was set back: certificates and records get wrong times",
            "set the system's clock, by NTP",
        ),
    }
}

fn unreadable(what: &str, error: &dyn crate::base::fault::Fault) -> Finding {
    let report = Report::of(error);
    Finding::failed(what, report.detail, &report.title, &report.advice)
}
