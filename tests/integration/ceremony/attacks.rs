//! What a person with the user PIN and a backup could try. `attacks.py` is the table.

use crate::support::Rig;
use serde_json::Value;

#[test]
fn no_attack_of_a_pin_holder_breaks_a_key_out() {
    let rig = Rig::new();
    let keys = [
        rig.key("guarded", "p256", "backup-only"),
        rig.key("free", "p256", "exportable"),
        rig.key("stuck", "p256", "token-only"),
    ];
    let backup = rig.json(&["backup", "run"]);
    let archive = rig.directory().parent().unwrap().join(backup["destinations"][0]["path"].as_str().unwrap());
    let folder = rig.file("archive");
    std::fs::create_dir(&folder).unwrap();
    rig.tool("tar", &["-xf", archive.to_str().unwrap(), "-C", &folder]).succeeded();
    let [guarded, free, stuck] = keys.each_ref().map(|key| key["id"].as_str().unwrap());

    let answers = rig.python("ceremony/attacks.py", &[&rig.pin(), &folder, guarded, free, stuck]).succeeded().json();

    let of = |kind: &str| {
        let answers = answers.as_array().unwrap().iter().filter(move |answer| answer["kind"] == kind);
        answers.map(|answer| (text(&answer["name"]), text(&answer["outcome"]))).collect::<Vec<_>>()
    };
    let broken: Vec<_> = of("attack").into_iter().filter(|(_, outcome)| !REFUSALS.contains(outcome)).collect();
    assert!(broken.is_empty(), "{broken:?}");
    // Without these an attack could fail for a reason that has nothing to do with its target.
    let failed: Vec<_> = of("control").into_iter().filter(|(_, outcome)| *outcome != "ok").collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!((of("attack").len(), of("control").len()), (ATTACKS, CONTROLS));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// How a token may refuse; `GENERAL_ERROR` is SoftHSM's word for a blob of another KEK.
const REFUSALS: [&str; 9] = [
    "ACTION_PROHIBITED",
    "ATTRIBUTE_READ_ONLY",
    "ATTRIBUTE_SENSITIVE",
    "GENERAL_ERROR",
    "KEY_FUNCTION_NOT_PERMITTED",
    "KEY_NOT_WRAPPABLE",
    "KEY_UNEXTRACTABLE",
    "TEMPLATE_INCONSISTENT",
    "USER_NOT_LOGGED_IN",
];
/// So that no attack is dropped unseen.
const ATTACKS: usize = 110;
const CONTROLS: usize = 8;
