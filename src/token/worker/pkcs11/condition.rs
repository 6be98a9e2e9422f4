//! What module and token say of themselves, for `keyward doctor`; nothing of it decides anything.

use super::{
    Backend,
    fault::{Class, Failure, NO_MECHANISM},
    index,
    token::Token,
    wrap::{AES_KEY_WRAP, AES_KEY_WRAP_KWP, AES_KEY_WRAP_PAD},
};
use crate::token::api::{ModuleFacts, TokenCondition};

impl Backend {
    /// The token's condition.
    pub(super) fn condition(&self) -> Result<TokenCondition, Failure> {
        let info = self.token.info()?;
        let listed = self.token.mechanisms()?;
        let session = self.token.open_session()?;
        let objects = {
            let _searching = self.searching();
            index::search(&self.token, &session, &[])?.len()
        };
        Ok(TokenCondition {
            mechanisms: listed.len(),
            lacking: lacking(&listed),
            objects,
            free_bytes: info.free_bytes(),
            most_sessions: info.most_sessions(),
            opened_sessions: self.token.open_many()?,
            pin_flags: info.pin_flags(),
        })
    }
}

impl Token {
    /// What the module says of itself.
    pub(super) fn module_facts(&self) -> Result<ModuleFacts, Failure> {
        let info = self.context.get_library_info().map_err(self.refusal("describe", "the module", NO_MECHANISM))?;
        Ok(ModuleFacts {
            manufacturer: info.manufacturer_id().to_owned(),
            description: info.library_description().to_owned(),
            version: info.library_version().to_string(),
            cryptoki: info.cryptoki_version().to_string(),
        })
    }

    /// The mechanisms that it lists.
    pub(super) fn mechanisms(&self) -> Result<Vec<u64>, Failure> {
        self.module.mechanisms(self.slot).map_err(self.refusal("describe", "the token", NO_MECHANISM))
    }

    /// How many sessions can be open at once, beside those that are.
    fn open_many(&self) -> Result<usize, Failure> {
        let mut sessions = Vec::new();
        while sessions.len() < SESSIONS {
            match self.open_session() {
                Ok(session) => sessions.push(session),
                Err(failure) if failure.class == Class::Session => return Err(failure),
                Err(_) => break,
            }
        }
        Ok(sessions.len())
    }
}

/// Names of what keyward would use; of the two numbers of RFC 5649 one is enough.
fn lacking(listed: &[u64]) -> Vec<String> {
    let has = |numbers: &[u64]| numbers.iter().any(|number| listed.contains(number));
    NEEDED.iter().filter(|(numbers, _)| !has(numbers)).map(|(_, name)| (*name).to_owned()).collect()
}

/// Sessions that are tried.
const SESSIONS: usize = 32;
const NEEDED: &[(&[u64], &str)] = &[
    (&[cryptoki_sys::CKM_RSA_PKCS_KEY_PAIR_GEN], "CKM_RSA_PKCS_KEY_PAIR_GEN"),
    (&[cryptoki_sys::CKM_RSA_PKCS], "CKM_RSA_PKCS"),
    (&[cryptoki_sys::CKM_RSA_PKCS_PSS], "CKM_RSA_PKCS_PSS"),
    (&[cryptoki_sys::CKM_EC_KEY_PAIR_GEN], "CKM_EC_KEY_PAIR_GEN"),
    (&[cryptoki_sys::CKM_ECDSA], "CKM_ECDSA"),
    (&[cryptoki_sys::CKM_EC_EDWARDS_KEY_PAIR_GEN], "CKM_EC_EDWARDS_KEY_PAIR_GEN"),
    (&[cryptoki_sys::CKM_EDDSA], "CKM_EDDSA"),
    (&[AES_KEY_WRAP], "CKM_AES_KEY_WRAP"),
    (&[AES_KEY_WRAP_PAD, AES_KEY_WRAP_KWP], "CKM_AES_KEY_WRAP_KWP"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_numbers_of_rfc_5649_is_enough() {
        let all: Vec<u64> = NEEDED.iter().map(|(numbers, _)| numbers[0]).collect();

        assert_eq!(lacking(&all), Vec::<String>::new());
        assert_eq!(lacking(&all[..all.len() - 1]), ["CKM_AES_KEY_WRAP_KWP"]);
        assert_eq!(lacking(&[&all[..all.len() - 1], &[0x210B]].concat()), Vec::<String>::new());
    }
}
