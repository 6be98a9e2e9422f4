//! Destroying a key: every object with its CKA_ID.

use super::{
    Backend,
    fault::{Failure, NO_MECHANISM},
    index, objects,
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
        let mut objects = if self.is_adopted(key) {
            self.adopted_objects(session, key)?
        } else {
            self.objects_with_id(session, key.as_bytes())?
        };
        // The private key first: if the rest fails, what matters is gone.
        objects.sort_by_key(|(rank, _)| *rank);
        for (_, handle) in &objects {
            session.destroy_object(*handle).map_err(self.token.refusal("destroy", key, NO_MECHANISM))?;
        }
        self.index_mut().remove(key);
        Ok(objects.len())
    }

    fn objects_with_id(&self, session: &Session, cka_id: &[u8]) -> Result<Vec<(u8, ObjectHandle)>, Failure> {
        let template = [Attribute::Token(true), Attribute::Id(cka_id.to_vec())];
        let mut objects = Vec::new();
        for handle in index::search(&self.token, session, &template)? {
            if let Some(rank) = self.rank(session, handle)? {
                objects.push((rank, handle));
            }
        }
        Ok(objects)
    }

    /// The object of another program, and what of the same id has its public key: other keys may have that id too.
    fn adopted_objects(&self, session: &Session, key: KeyId) -> Result<Vec<(u8, ObjectHandle)>, Failure> {
        let Some(entry) = self.index().key(key) else { return Ok(Vec::new()) };
        let mut objects = vec![(0, entry.handle)];
        let cka_id = self.cka_id(key);
        if cka_id.is_empty() {
            return Ok(objects);
        }
        for (rank, handle) in self.objects_with_id(session, &cka_id)? {
            let told = self.token.read(handle, |handle| objects::half_of(session, handle))?;
            if rank > 0 && told.is_some() && told == entry.public_key {
                objects.push((rank, handle));
            }
        }
        Ok(objects)
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
