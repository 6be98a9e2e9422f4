//! A token, step by step: worker, module, token, PIN source, login, trials, inventory.

use super::{
    api::{Finding, TokenFindings},
    trials,
};
use crate::base::fault::{Fault, Kind, Report};
use crate::keys::{KeyError, Keys, presence, probe::probe};
use crate::token::{Token, TokenError, api::Capabilities};

/// The steps to a token that signs, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Worker,
    Module,
    Token,
    PinSource,
    Login,
    Trials,
    Inventory,
}

const STEPS: [Step; 7] =
    [Step::Worker, Step::Module, Step::Token, Step::PinSource, Step::Login, Step::Trials, Step::Inventory];

impl Step {
    const fn what(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Module => "module",
            Self::Token => "token",
            Self::PinSource => "PIN source",
            Self::Login => "login",
            Self::Trials => "trials",
            Self::Inventory => "inventory",
        }
    }
}

/// Goes as far as the token lets it.
pub(super) async fn examine(keys: &Keys, token: &Token) -> TokenFindings {
    let label = token.label().to_owned();
    match probe(keys, token).await {
        Ok(capabilities) => {
            let mut findings = reached(token, Some(&capabilities)).await;
            findings.extend(trials::findings(&capabilities));
            findings.push(inventory(keys, token).await);
            TokenFindings { label, findings, capabilities: Some(capabilities) }
        }
        Err(error) => {
            let failed = match &error {
                KeyError::Token(error) => failed_step(error),
                _ => Step::Inventory,
            };
            TokenFindings { label, findings: stopped(token, failed, &error), capabilities: None }
        }
    }
}

/// The steps before the one that failed, that one, and those after it.
fn stopped(token: &Token, failed: Step, error: &dyn Fault) -> Vec<Finding> {
    let finding = |step: Step| {
        if step < failed {
            Finding::ok(step.what(), source(token, step), "passed")
        } else if step == failed {
            let report = Report::of(error);
            Finding::failed(step.what(), format!("{} ({})", report.detail, report.code), &report.title, &report.advice)
        } else {
            Finding::not_tried(step.what())
        }
    };
    STEPS.map(finding).to_vec()
}

/// What a step is about.
fn source(token: &Token, step: Step) -> String {
    match step {
        Step::Module => token.address().device.to_string(),
        Step::PinSource => token.pin_source(),
        Step::Token => token.label().to_owned(),
        _ => String::new(),
    }
}

/// The steps up to the trials, of a token that let itself be tried.
async fn reached(token: &Token, seen: Option<&Capabilities>) -> Vec<Finding> {
    let module = seen.map(|seen| &seen.module);
    let path = &token.address().device;
    let module = module.map_or_else(String::new, |module| {
        format!(
            "{path}: {} {} {}, PKCS#11 {}",
            module.manufacturer, module.description, module.version, module.cryptoki
        )
    });
    let described = match token.describe().await {
        Ok(seen) => format!("{} {}, serial {}, firmware {}", seen.manufacturer, seen.model, seen.serial, seen.firmware),
        Err(error) => error.to_string(),
    };
    vec![
        Finding::ok(Step::Worker.what(), "it answers", "the module runs in a process of its own"),
        Finding::ok(Step::Module.what(), module, "it is a PKCS#11 module, and it starts"),
        Finding::ok(Step::Token.what(), described, "one slot, and no other, has this label"),
        Finding::ok(Step::PinSource.what(), token.pin_source(), "it can be read by this user and no other"),
        login(seen.map_or(&[], |seen| &seen.condition.pin_flags)),
    ]
}

fn login(flags: &[String]) -> Finding {
    const WHAT: &str = "login";
    let seen = if flags.is_empty() { "the PIN was taken".to_owned() } else { flags.join(", ") };
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    if has("CKF_USER_PIN_TO_BE_CHANGED") {
        Finding::notice(WHAT, seen, "the token wants another PIN", "`keyward token change-pin`")
    } else if has("CKF_PROTECTED_AUTHENTICATION_PATH") {
        Finding::notice(WHAT, seen, "it has a PIN pad of its own, which keyward does not use", "")
    } else {
        Finding::ok(WHAT, seen, "keyward can use the keys")
    }
}

async fn inventory(keys: &Keys, token: &Token) -> Finding {
    const WHAT: &str = "inventory";
    let seen = match presence::compare(keys, token).await {
        Ok(seen) => seen,
        Err(error) => {
            let report = Report::of(&error);
            return Finding::failed(WHAT, report.detail, &report.title, &report.advice);
        }
    };
    let count = format!("{} keys present", seen.present);
    if !seen.replaced.is_empty() {
        let what = format!("{count}; replaced: {}", seen.replaced.join(", "));
        Finding::failed(WHAT, what, "another key is in their place: they are not used", "restore them from a backup")
    } else if !seen.missing.is_empty() {
        let what = format!("{count}; missing: {}", seen.missing.join(", "));
        let to_do = "`keyward backup restore latest --key KEY`";
        Finding::failed(WHAT, what, "their objects are gone from the token", to_do)
    } else if !seen.unrecorded.is_empty() {
        let what = format!("{count}; not in the inventory: {}", seen.unrecorded.join(", "));
        let to_do = "`keyward token scan` shows them, `keyward key adopt` takes one in";
        Finding::notice(WHAT, what, "another program has made them, and keyward leaves them alone", to_do)
    } else {
        Finding::ok(WHAT, count, "inventory and token agree, by public key")
    }
}

/// Where the way to the token ended.
fn failed_step(error: &TokenError) -> Step {
    match error {
        TokenError::WorkerUnstartable { .. } => Step::Worker,
        TokenError::ModuleUnusable { .. } => Step::Module,
        TokenError::TokenAbsent { .. } | TokenError::TokenAmbiguous { .. } => Step::Token,
        TokenError::PinUnreadable { .. } => Step::PinSource,
        TokenError::Deadline { operation, .. } | TokenError::WorkerLost { operation, .. } => match operation.as_str() {
            "open" => Step::Module,
            "login" => Step::Login,
            _ => Step::Trials,
        },
        TokenError::Refused { operation, .. } if operation == "login" => Step::Login,
        error if error.entry().kind == Kind::Locked => Step::Login,
        _ => Step::Trials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_tells_where_the_way_ended() {
        let (token, operation) = ("hsm".to_owned(), "login".to_owned());
        let module = TokenError::ModuleUnusable { module: "/m.so".into(), cause: String::new() };
        let lost = TokenError::WorkerLost { token: token.clone(), operation };
        let probe = TokenError::WorkerLost { token: token.clone(), operation: "probe".to_owned() };

        assert_eq!(failed_step(&module), Step::Module);
        assert_eq!(failed_step(&lost), Step::Login);
        assert_eq!(failed_step(&probe), Step::Trials);
        assert_eq!(failed_step(&TokenError::PinLocked { token }), Step::Login);
    }
}
