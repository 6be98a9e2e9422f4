//! Kryoptic with a database of its own.

use super::TestToken;
use crate::support::pkcs11::test_module;
use keyward::token::make_token;
use std::fs;

/// A fresh token, made by keyward itself. Its EC points come without the OCTET STRING around them, as it gives them
/// unless it is told otherwise.
pub(crate) async fn kryoptic() -> TestToken {
    let mut token = TestToken::prepare("kryoptic", test_module("keyward_test_kryoptic"), "kryoptic");
    let (conf, database) = (token.path("kryoptic.toml"), token.path("token.sql"));
    let slot = format!("slot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", database.display());
    fs::write(&conf, format!("[ec_point_encoding]\nencoding = \"Bytes\"\n\n[[slots]]\n{slot}")).unwrap();
    token.set("KRYOPTIC_CONF", conf);
    make_token(&token.settings).await.unwrap();
    token
}
