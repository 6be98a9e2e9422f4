//! A credential that is good for some keys only.

use super::{sign, token};
use crate::support::{Rig, service::Service};
use serde_json::Value;

#[test]
fn a_key_outside_the_scope_is_answered_as_one_that_does_not_exist() {
    let rig = Rig::new();
    rig.key("web", "p256", "backup-only");
    let other = rig.key("other", "p256", "backup-only")["id"].as_str().unwrap().to_owned();
    let ci = token(&rig, "ci", &["--role", "signer", "--key", "web"]);
    let service = Service::start(&rig);
    let who = ["--header", ci.as_str()];
    let show = |path: &str| service.at_listener(&who, &format!("/api/v1/keys/{path}"));
    let nobody = "0190b2a1-0000-7000-8000-000000000001";

    for (hidden, missing) in [("other", "nobody"), (other.as_str(), nobody), ("keyward-ca", "keyward-xy")] {
        let answers = [
            (show(hidden), show(missing)),
            (show(&format!("{hidden}/public")), show(&format!("{missing}/public"))),
            (sign(&service, &who, hidden, "m"), sign(&service, &who, missing, "m")),
        ];
        for (hidden_answer, missing_answer) in answers {
            assert_eq!(hidden_answer.0, 404);
            assert_eq!(blurred(&hidden_answer.1, hidden), blurred(&missing_answer.1, missing));
        }
    }
    assert_eq!(show("web").0, 200);
    assert_eq!(show("web/public").0, 200);
    assert_eq!(sign(&service, &who, "web", "m").0, 200);
}

#[test]
fn a_signer_sees_its_keys_in_the_list_and_no_others() {
    let rig = Rig::new();
    for label in ["a", "b", "c"] {
        rig.key(label, "p256", "backup-only");
    }
    let some = token(&rig, "some", &["--role", "signer", "--key", "c", "--key", "a"]);
    let every = token(&rig, "every", &["--role", "signer"]);
    rig.keyward(&["--yes", "key", "destroy", "c"]).succeeded();
    // Another key, though it has the name.
    rig.key("c", "p256", "backup-only");
    let service = Service::start(&rig);
    let list = |who: &str, query: &str| {
        let (status, answer) = service.at_listener(&["--header", who], &format!("/api/v1/keys{query}"));
        let labels: Vec<_> = answer["items"].as_array().unwrap().iter().map(|key| key["label"].clone()).collect();
        (status, labels, answer["next"].clone())
    };

    assert_eq!(list(&some, ""), (200, vec!["a".into()], Value::Null));
    assert_eq!(list(&some, "?after=a"), (200, vec![], Value::Null));
    let labels = ["a", "b", "c", "keyward-audit", "keyward-ca"].map(Value::from);
    assert_eq!(list(&every, ""), (200, labels.to_vec(), Value::Null));
    assert_eq!(list(&every, "?limit=1"), (200, vec!["a".into()], "a".into()));
}

#[test]
fn a_signer_does_nothing_but_sign_and_look_at_keys() {
    let rig = Rig::new();
    rig.key("web", "p256", "exportable");
    let ci = token(&rig, "ci", &["--role", "signer"]);
    let service = Service::start(&rig);
    let ask = |method: &str, path: &str| {
        let json = "Content-Type: application/json";
        let request = ["--header", &ci, "--request", method, "--header", json, "--data", "{}"];
        let (status, answer) = service.at_listener(&request, &format!("/api/v1/{path}"));
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };

    for (method, path) in [
        ("DELETE", "keys/web"),
        ("GET", "audit/records"),
        ("GET", "certificates"),
        ("GET", "credentials"),
        ("POST", "credentials"),
        ("DELETE", "credentials/ci"),
        ("POST", "backups"),
        ("POST", "tokens/keyward/probe"),
        ("POST", "doctor"),
    ] {
        assert_eq!(ask(method, path), (403, "role-missing".to_owned()), "{method} {path}");
    }
}

/// A problem without what is different in each.
fn blurred(problem: &Value, key: &str) -> String {
    let id = problem["request_id"].as_str().unwrap();
    problem.to_string().replace(id, "ID").replace(key, "KEY")
}
