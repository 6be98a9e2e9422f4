//! The tokens of an instance: its own, which has the CA's key, the audit key and the KEKs, and further ones with keys
//! alone.

use super::Token;
use std::sync::Arc;

/// Every token of an instance, by label; cheap to clone. Each has a worker and a PIN source of its own.
#[derive(Clone, Debug)]
pub struct Tokens(Arc<[Token]>);

impl Tokens {
    /// The instance's own token, and the further ones.
    #[must_use]
    pub fn new(home: Token, further: impl IntoIterator<Item = Token>) -> Self {
        Self(std::iter::once(home).chain(further).collect())
    }

    /// The instance's own token.
    #[must_use]
    pub fn home(&self) -> &Token {
        // There is one by construction.
        &self.0[0]
    }

    /// The token with this label.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<&Token> {
        self.iter().find(|token| token.label() == label)
    }

    /// All of them, the instance's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }

    /// Ends their workers for good.
    pub async fn close(&self) {
        for token in self.iter() {
            token.close().await;
        }
    }
}
