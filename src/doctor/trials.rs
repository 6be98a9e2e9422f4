//! What the trials with scratch keys showed, in words.

use super::api::Finding;
use crate::token::api::{AlgorithmCapability, Capabilities};

/// A line for each property, then one for each algorithm.
pub(super) fn findings(seen: &Capabilities) -> Vec<Finding> {
    let mut findings = vec![mechanisms(seen), sessions(seen), room(seen)];
    findings.extend(custody(seen));
    findings.extend(copies(seen));
    findings.extend(seen.algorithms.iter().map(|algorithm| one(seen, algorithm)));
    findings
}

fn mechanisms(seen: &Capabilities) -> Finding {
    let count = format!("{} in its list", seen.condition.mechanisms);
    if seen.condition.lacking.is_empty() {
        return Finding::ok("mechanisms", count, "every one that keyward uses is there");
    }
    let text = format!("{count}; lacks {}", seen.condition.lacking.join(", "));
    Finding::notice("mechanisms", text, "what needs them is not offered; the trials below decide", "")
}

fn sessions(seen: &Capabilities) -> Finding {
    let condition = &seen.condition;
    let limit = condition.most_sessions.map_or("tells no limit".to_owned(), |most| format!("allows {most}"));
    let text = format!("{} of 32 opened at once; the token {limit}", condition.opened_sessions);
    if condition.opened_sessions == 32 {
        return Finding::ok("sessions", text, "enough for every thread of the worker");
    }
    let to_do = "set `sessions` of the token in keyward.toml below that";
    Finding::notice("sessions", text, "more threads than that would be refused", to_do)
}

fn room(seen: &Capabilities) -> Finding {
    let free = seen.condition.free_bytes.map_or("does not tell its free memory".to_owned(), |free| {
        format!("has {free} bytes free for private objects")
    });
    let text = format!("{} objects; the token {free}", seen.condition.objects);
    match seen.condition.free_bytes {
        Some(free) if free < LITTLE_BYTES => {
            Finding::notice("room", text, "a few more keys and it is full", "destroy keys that nobody needs")
        }
        _ => Finding::ok("room", text, "there is room for more keys, as far as the token tells"),
    }
}

/// Whether keys stay where they should.
fn custody(seen: &Capabilities) -> Vec<Finding> {
    let extractable = match (seen.wraps_keys, seen.honours_extractable) {
        (false, _) => Finding::ok("EXTRACTABLE", "it wraps no key at all", "no key can leave it"),
        (true, true) => Finding::ok("EXTRACTABLE", "honoured", "a `token-only` key cannot leave"),
        (true, false) => Finding::failed(
            "EXTRACTABLE",
            "IGNORED: a key that is not extractable was wrapped",
            "UNFIT for `token-only` keys: this token gives away what it was told to keep",
            "keep keys that matter in another token",
        ),
    };
    let trusted = if seen.honours_wrap_with_trusted {
        Finding::ok("WRAP_WITH_TRUSTED", "honoured", "`backup-only` is enforced by the token itself")
    } else if seen.key_wrap.is_none() {
        Finding::notice("WRAP_WITH_TRUSTED", "it wraps no key", "there are no `backup-only` keys here", "")
    } else {
        Finding::notice(
            "WRAP_WITH_TRUSTED",
            "not honoured",
            "`backup-only` is enforced by keyward alone: who has the PIN could take such a key out",
            "guard the PIN as you would guard the keys, or make them `token-only`",
        )
    };
    let usage = if seen.limits_usage {
        Finding::ok("usage", "limited", "a key that signs does not decrypt")
    } else {
        Finding::notice("usage", "not limited", "each key can sign and decrypt: keyward alone keeps the two apart", "")
    };
    let scratch = if seen.session_objects {
        Finding::ok("session objects", "yes", "the trials left nothing behind")
    } else {
        Finding::notice(
            "session objects",
            "none",
            "trials are made with objects of the token, which are destroyed at once",
            "if a trial was cut off, destroy what is called `keyward-scratch`",
        )
    };
    vec![extractable, trusted, usage, scratch]
}

/// Whether keys can be backed up.
fn copies(seen: &Capabilities) -> Vec<Finding> {
    let alone = "make `token-only` keys here";
    let kek = if seen.secret_keys {
        Finding::ok("KEKs", "it takes AES keys", "KEKs can be imported")
    } else {
        Finding::notice("KEKs", "it takes no AES keys", "no KEK, so no backup of its keys", alone)
    };
    let wrap = match seen.key_wrap {
        Some(mechanism) => {
            let text = format!("by mechanism 0x{mechanism:04X}");
            Finding::ok("RFC 5649 key wrap", text, "backups and exports work; software opens what it wraps")
        }
        None => Finding::notice("RFC 5649 key wrap", "no", "no backup and no export of its keys", alone),
    };
    let content = if seen.content_key_wrap {
        Finding::ok("RFC 3394 content key", "yes", "the inventory of an archive can be sealed")
    } else {
        Finding::notice("RFC 3394 content key", "no", "no archive can be sealed by this token", alone)
    };
    let template = if seen.unwrap_template {
        Finding::ok("UNWRAP_TEMPLATE", "honoured", "restores and drills work online, without opening a way out")
    } else if seen.key_wrap.is_none() {
        Finding::notice("UNWRAP_TEMPLATE", "not tried", "nothing is unwrapped here", "")
    } else {
        let means = "its KEKs cannot unwrap: restores and drills need the shares";
        Finding::notice("UNWRAP_TEMPLATE", "not honoured", means, "keep the share file where a restore can get at it")
    };
    vec![kek, wrap, content, template]
}

fn one(seen: &Capabilities, algorithm: &AlgorithmCapability) -> Finding {
    let name = algorithm.algorithm.as_str();
    let speed = algorithm.per_second.map_or(String::new(), |speed| format!(", {speed} signatures/s in one session"));
    let cause = algorithm.cause.as_deref().unwrap_or("no reason given");
    match (algorithm.sign, algorithm.wrap) {
        (true, true) if seen.honours_extractable => Finding::ok(name, format!("signs, wraps{speed}"), "every policy"),
        (true, true) => Finding::notice(name, format!("signs, wraps{speed}"), "`backup-only` and `exportable`", ""),
        (true, false) if seen.wraps_keys && !seen.honours_extractable => {
            Finding::notice(name, format!("signs{speed}; not put back: {cause}"), "no policy holds here", "")
        }
        (true, false) => Finding::notice(name, format!("signs{speed}; not wrapped: {cause}"), "`token-only` alone", ""),
        (false, _) => Finding::notice(name, cause, "such keys cannot be made here", ""),
    }
}

/// About twenty RSA keys.
const LITTLE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::api::CheckOutcome;

    fn outcome(seen: &Capabilities, what: &str) -> CheckOutcome {
        findings(seen).into_iter().find(|finding| finding.what == what).unwrap().outcome
    }

    #[test]
    fn a_token_that_wraps_what_it_should_keep_has_failed_and_one_that_wraps_nothing_has_not() {
        let wraps = Capabilities { wraps_keys: true, key_wrap: Some(0x210B), ..Capabilities::default() };

        assert_eq!(outcome(&wraps, "EXTRACTABLE"), CheckOutcome::Failed);
        assert_eq!(outcome(&Capabilities::default(), "EXTRACTABLE"), CheckOutcome::Ok);
        assert_eq!(outcome(&wraps, "WRAP_WITH_TRUSTED"), CheckOutcome::Notice);
    }
}
