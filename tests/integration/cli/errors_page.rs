//! `docs/errors.md` is printed from the code.

use crate::support::{keyward, run};
use std::{fs, path::Path};

#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn the_page_of_errors_is_what_the_code_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");

    let printed = run(keyward().arg("errors")).succeeded().stdout;

    if std::env::var_os("KEYWARD_UPDATE_DOCS").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == printed, "docs/errors.md is old; run this test with KEYWARD_UPDATE_DOCS=1");
}
