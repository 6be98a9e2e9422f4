//! Destroying a key: every object with its CKA_ID.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM},
    index,
};
use crate::base::ids::KeyId;
use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

impl Backend {
    /// Destroys private key, public key and certificates; how many objects there were.
    pub(super) fn destroy(&self, session: &Session, key: KeyId) -> Result<usize, Failure> {
        let _searching = self.searching();
        let template = [Attribute::Token(true), Attribute::Id(key.as_bytes().to_vec())];
        let mut objects = Vec::new();
        for handle in index::search(&self.token, session, &template)? {
            if let Some(rank) = self.rank(session, handle)? {
                objects.push((rank, handle));
            }
        }
        // The private key first: if the rest fails, what matters is gone.
        objects.sort_by_key(|(rank, _)| *rank);
        for (_, handle) in &objects {
            session.destroy_object(*handle).map_err(self.token.refusal("destroy", key, NO_MECHANISM))?;
        }
        self.index_mut().remove(key);
        Ok(objects.len())
    }

    /// The order of destruction of a class; none for classes that are no part of a key.
    fn rank(&self, session: &Session, handle: ObjectHandle) -> Result<Option<u8>, Failure> {
        let attributes = session.get_attributes(handle, &[AttributeType::Class]).map_err(self.token.refusal(
            "read attributes",
            "an object",
            NO_MECHANISM,
        ))?;
        Ok(attributes.iter().find_map(|attribute| match attribute {
            Attribute::Class(ObjectClass::PRIVATE_KEY) => Some(0),
            Attribute::Class(ObjectClass::PUBLIC_KEY) => Some(1),
            Attribute::Class(ObjectClass::CERTIFICATE) => Some(2),
            _ => None,
        }))
    }
}
