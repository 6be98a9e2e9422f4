//! SoftHSM with a folder of its own.

use super::TestToken;
use keyward::token::make_token;
use std::fs;

/// A fresh token, made by keyward itself.
pub(crate) async fn softhsm() -> TestToken {
    let mut token = TestToken::prepare("softhsm", "/usr/lib/softhsm/libsofthsm2.so", "softhsm");
    let (conf, store) = (token.path("softhsm2.conf"), token.path("tokens"));
    fs::create_dir(&store).unwrap();
    fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", store.display())).unwrap();
    token.set("SOFTHSM2_CONF", conf);
    make_token(&token.settings).await.unwrap();
    token.store = Some(store);
    token
}
