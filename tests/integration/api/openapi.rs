//! The description of the API: a snapshot in the repository, the page, and examples that keep to their schemas.

use crate::support::{Rig, keyward, python, run, service::Service, sources};
use std::{fs, path::Path, process::Command};

#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn the_description_in_the_repository_is_what_the_code_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");

    let printed = run(keyward().arg("openapi")).succeeded().stdout;

    if std::env::var_os("KEYWARD_UPDATE_DOCS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == printed, "docs/openapi.json is old; run this test with KEYWARD_UPDATE_DOCS=1");
}

#[test]
fn every_example_keeps_to_its_schema() {
    let script = sources("api/examples.py");
    let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");

    let checked = run(Command::new(python()).args([script, description])).succeeded().stdout;

    assert!(checked.trim().parse::<u32>().unwrap() > 50, "{checked}");
}

#[test]
fn a_service_serves_its_description_and_a_page_without_anything_inline_or_from_elsewhere() {
    let rig = Rig::new();
    let service = Service::start(&rig);
    let text = |path: &str| {
        let socket = service.socket().to_str().unwrap();
        let url = format!("http://localhost{path}");
        run(Command::new("curl").args(["--silent", "--include", "--unix-socket", socket, &url])).succeeded().stdout
    };

    // A browser has no credential to show.
    let (status, description) = service.at_listener(&[], "/api/v1/openapi.json");
    let page = text("/api/v1/docs");

    assert_eq!((status, description["openapi"].as_str()), (200, Some("3.1.0")));
    assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{page}");
    assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("://"), "{page}");
    assert!(page.matches("<script").count() == page.matches("<script src=\"").count(), "{page}");
    assert!(text("/api/v1/docs/style.css").contains("content-type: text/css; charset=utf-8"));
    assert!(text("/api/v1/docs/script.js").contains("content-type: text/javascript; charset=utf-8"));
}
