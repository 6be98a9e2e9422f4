//! The archive: a plain tar of manifest, signature, wrapped keys, sealed inventory and a text for people.

use super::{
    BackupError,
    manifest::{Manifest, Member},
};
use crate::base::{
    ids::{InstanceId, hex},
    time::Timestamp,
};
use crate::pki::{certificate::Certificate, cms};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, io::Read as _};

/// A member of an archive and its bytes.
pub type Members = BTreeMap<String, Vec<u8>>;

/// An archive whose signature and hashes hold.
#[derive(Debug)]
pub struct Archive {
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// What it holds.
    pub manifest: Manifest,
    /// Certificate of the instance's CA, which the signature leads to. Whether it is the right one is the
    /// caller's to say.
    pub root: Certificate,
    members: Members,
}

impl Archive {
    /// Reads an archive and checks everything that can be checked without a KEK.
    ///
    /// # Errors
    /// [`BackupError::ArchiveInvalid`] names the first thing that does not hold.
    pub fn open(bytes: &[u8]) -> Result<Self, BackupError> {
        let mut members = unpack(bytes)?;
        let (manifest_bytes, signature) = (take(&mut members, MANIFEST)?, take(&mut members, SIGNATURE)?);
        let root = check_signature(&manifest_bytes, &signature)?;
        let manifest = Manifest::from_bytes(&manifest_bytes)?;
        if root.fingerprint() != manifest.instance.root_sha256 {
            return Err(invalid("the signature leads to another root than manifest.json names".to_owned()));
        }
        check_members(&manifest, &members)?;
        // Neither headers nor padding are in the manifest: the whole file must be what we would have packed.
        if pack(&manifest_bytes, &signature, &members, manifest.created_at)? != bytes {
            return Err(invalid("it has bytes between, around or after its members that are not keyward's".to_owned()));
        }
        let sha256 = hex(&Sha256::digest(bytes));
        Ok(Self { sha256, size_bytes: bytes.len() as u64, manifest, root, members })
    }

    /// The bytes of a member.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn member(&self, name: &str) -> Result<&[u8], BackupError> {
        member(&self.members, name)
    }

    /// The file name that belongs to this archive.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.manifest.instance.id, self.manifest.created_at, self.manifest.sequence)
    }
}

/// `keyward-<first 8 of instance id>-<20260102T030405Z>-<000001>.tar`.
#[must_use]
pub fn name(instance: InstanceId, created_at: Timestamp, sequence: u64) -> String {
    format!("{}{}-{sequence:06}.tar", prefix(instance), created_at.compact())
}

/// How the names of an instance's archives begin.
#[must_use]
pub fn prefix(instance: InstanceId) -> String {
    let first: String = instance.to_string().chars().take(8).collect();
    format!("keyward-{first}-")
}

/// The number in an archive's file name; none if the name is not an archive's.
#[must_use]
pub fn sequence_in(name: &str) -> Option<u64> {
    name.strip_prefix("keyward-")?.strip_suffix(".tar")?.rsplit('-').next()?.parse().ok()
}

/// Name of the member with a wrapped key.
#[must_use]
pub fn key_member(id: crate::base::ids::KeyId) -> String {
    format!("keys/{id}.kwp")
}

/// The manifest's entry for a member.
#[must_use]
pub fn describe(name: &str, bytes: &[u8]) -> Member {
    Member { name: name.to_owned(), size: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) }
}

/// Packs members into a tar: manifest and signature first, so that a reader of the stream can judge early.
///
/// # Errors
/// A member is larger than a tar can hold.
pub fn pack(
    manifest: &[u8],
    signature: &[u8],
    members: &Members,
    created_at: Timestamp,
) -> Result<Vec<u8>, BackupError> {
    let mut tar = tar::Builder::new(Vec::new());
    let seconds = u64::try_from(created_at.as_millis() / 1_000).unwrap_or(0);
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        tar.append_data(&mut header, name, bytes)
    };
    let packed = add(MANIFEST, manifest)
        .and_then(|()| add(SIGNATURE, signature))
        .and_then(|()| members.iter().try_for_each(|(name, bytes)| add(name, bytes)));
    packed.and_then(|()| tar.into_inner()).map_err(|error| invalid(format!("it could not be packed: {error}")))
}

fn unpack(bytes: &[u8]) -> Result<Members, BackupError> {
    let unreadable = |error: std::io::Error| invalid(format!("not a whole tar: {error}"));
    if bytes.len() < 2 * BLOCK || bytes[bytes.len() - 2 * BLOCK..].iter().any(|byte| *byte != 0) {
        return Err(invalid("the end of the tar is missing".to_owned()));
    }
    let mut members = Members::new();
    for entry in tar::Archive::new(bytes).entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(invalid(format!("member {name} is not a plain file")));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        if members.insert(name.clone(), content).is_some() {
            return Err(invalid(format!("member {name} is there twice")));
        }
    }
    Ok(members)
}

/// The signature must be the audit key's, certified by the instance's CA; answers the CA's certificate.
fn check_signature(manifest: &[u8], signature: &[u8]) -> Result<Certificate, BackupError> {
    let chain = cms::verify_detached(manifest, signature).map_err(|error| invalid(format!("manifest.p7s: {error}")))?;
    let chain = chain.iter().map(|der| Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()?;
    match chain.as_slice() {
        [signer, root]
            if signer.is_issued_by(root) && signer.is_for_audit() && root.is_ca() && root.is_self_signed() =>
        {
            Ok(root.clone())
        }
        _ => Err(invalid("manifest.p7s does not lead from the audit key to the instance's root".to_owned())),
    }
}

/// Members and manifest must agree, both ways.
fn check_members(manifest: &Manifest, members: &Members) -> Result<(), BackupError> {
    for listed in &manifest.members {
        let bytes = member(members, &listed.name)?;
        if describe(&listed.name, bytes) != *listed {
            return Err(invalid(format!("member {} is not the one in manifest.json", listed.name)));
        }
    }
    for key in &manifest.keys {
        let bytes = member(members, &key_member(key.id))?;
        if (key.size, key.sha256.as_str()) != (bytes.len() as u64, hex(&Sha256::digest(bytes)).as_str()) {
            return Err(invalid(format!("the copy of key {} is not the one in manifest.json", key.id)));
        }
    }
    let listed = |name: &str| manifest.members.iter().any(|member| member.name == name);
    match members.keys().find(|name| !listed(name)) {
        Some(extra) => Err(invalid(format!("member {extra} is not in manifest.json"))),
        None => Ok(()),
    }
}

fn take(members: &mut Members, name: &str) -> Result<Vec<u8>, BackupError> {
    members.remove(name).ok_or_else(|| missing(name))
}

fn member<'a>(members: &'a Members, name: &str) -> Result<&'a [u8], BackupError> {
    members.get(name).map(Vec::as_slice).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> BackupError {
    invalid(format!("member {name} is missing"))
}

fn invalid(cause: String) -> BackupError {
    BackupError::ArchiveInvalid { cause }
}

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.p7s";
/// The sealed inventory.
pub const INVENTORY: &str = "inventory.cms";
/// What a person should know who finds the archive.
pub const README: &str = "README.txt";
/// A tar ends with two blocks of zeros.
const BLOCK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_number_is_read_from_a_name_of_ours_only() {
        let id = "0190b2a1-0000-7000-8000-000000000000".parse().unwrap();
        let name = name(id, Timestamp::from_millis(1_767_323_045_006), 12);

        assert_eq!(name, "keyward-0190b2a1-20260102T030405Z-000012.tar");
        assert_eq!(sequence_in(&name), Some(12));
        assert_eq!(sequence_in("keyward-0190b2a1-20260102T030405Z-000012.tar.partial"), None);
        assert_eq!(sequence_in("notes.txt"), None);
    }

    #[test]
    fn the_same_members_are_packed_to_the_same_bytes_by_every_version() {
        let members = Members::from([("keys/a.kwp".to_owned(), vec![7; 40]), (README.to_owned(), b"text".to_vec())]);

        let packed = pack(b"{}", b"signature", &members, Timestamp::from_millis(1_767_323_045_006)).unwrap();

        // A library that packed otherwise would make older archives unreadable, since `open` compares.
        assert_eq!(hex(&Sha256::digest(&packed)), "e1b9a16f7602e508541a7d4b702f36fcb73b4fcb1dc681ba78313e147319a480");
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        let mut tar = tar::Builder::new(Vec::new());
        for content in ["one", "two"] {
            let mut header = tar::Header::new_ustar();
            header.set_size(3);
            tar.append_data(&mut header, "README.txt", content.as_bytes()).unwrap();
        }

        let error = unpack(&tar.into_inner().unwrap()).unwrap_err();

        assert!(error.to_string().contains("README.txt is there twice"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_archive_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert!(Archive::open(&bytes).is_err());
        }
    }
}
