//! schemathesis reads the live description and tries the API by it: data that fits and data that does not, unknown
//! methods, missing credentials, answers against their schemas.

use crate::support::{Rig, python, service::Service, sources};
use std::process::Command;

#[test]
fn schemathesis_finds_no_fault_by_any_of_its_checks() {
    let rig = Rig::new();
    // What the examples of the description name.
    rig.key("web", "p256", "exportable");
    rig.keyward(&["cert", "self-sign", "web", "--subject", "CN=web", "--out", &rig.file("web.pem")]).succeeded();
    rig.keyward(&["backup", "run"]).succeeded();
    let service = Service::start(&rig);
    let token = token(&service);
    let ca = rig.directory().join("tls/ca.pem");

    let mut tried = Command::new(python());
    tried.current_dir(rig.path(".")).args(["-m", "schemathesis.cli"]);
    tried.env("PYTHONPATH", sources("api")).env("SCHEMATHESIS_HOOKS", "archives").env("PYTHONDONTWRITEBYTECODE", "1");
    tried.arg("--config-file").arg(sources("api/schemathesis.toml"));
    tried.args(["run", &format!("{}/api/v1/openapi.json", service.url()), "--tls-verify"]).arg(ca);
    tried.args(["--checks", "all", "--seed", SEED, "--header", &format!("Authorization: Bearer {token}")]);
    let ended = crate::support::run(&mut tried);

    assert_eq!(ended.code, 0, "seed {SEED}\n{}\n{}", ended.stdout, ended.stderr);
}

/// For every role, so that no request is refused before it is looked at.
fn token(service: &Service) -> String {
    let request = r#"{"name": "schemathesis", "roles": ["admin", "auditor", "operator"]}"#;
    let (status, answer) = service.at_socket(&["--json", request], "/api/v1/credentials");
    assert_eq!(status, 201, "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

/// Cases follow from it; the same seed tries the same.
const SEED: &str = "20260301";
