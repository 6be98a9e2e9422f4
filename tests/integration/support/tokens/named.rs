//! The tokens that `KEYWARD_TEST_TOKENS` names.

use super::{TestToken, WrongPin};
use keyward::token::pin::PinSource;
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    module: PathBuf,
    label: String,
    pin_file: PathBuf,
    so_pin_file: Option<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// None if the variable is not set.
#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
pub(crate) fn named() -> Vec<TestToken> {
    let Some(path) = std::env::var_os("KEYWARD_TEST_TOKENS") else { return Vec::new() };
    let file: File = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    file.token.into_iter().map(Entry::token).collect()
}

impl Entry {
    fn token(self) -> TestToken {
        let mut token = TestToken::prepare(&self.name, &self.module, &self.label);
        token.settings.pin = PinSource::File(self.pin_file);
        token.settings.so_pin = self.so_pin_file.map(PinSource::File);
        for (name, value) in self.environment {
            token.set(&name, value);
        }
        // Who names an HSM does not want its PIN locked.
        token.wrong_pin = WrongPin::NotTried;
        token
    }
}
