//! A PIN in a file: one that others could have read is none.

use super::LONGEST_PIN_BYTES;
use crate::base::secret::Secret;
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::Path,
};
use zeroize::Zeroizing;

/// Reads a PIN file: of this user, mode 0600 or stricter.
pub(super) fn read(path: &Path) -> io::Result<Secret> {
    let ours = rustix::process::geteuid().as_raw();
    read_guarded(path, |_| (0o077, [ours, ours]))
}

/// Reads a credential, which systemd may leave to root and let the service in by an ACL entry, whose rights the mode
/// shows as those of the group (`acl(5)`). Root's group has no other members that matter.
pub(super) fn read_credential(path: &Path) -> io::Result<Secret> {
    let ours = rustix::process::geteuid().as_raw();
    read_guarded(path, |file| match (file.uid(), file.gid()) {
        (0, 0) => (0o037, [0, ours]),
        _ => (0o077, [ours, ours]),
    })
}

/// Only this user and root may have been able to read it: `rule` has the rights that must not be, and the owners that
/// may.
fn read_guarded(path: &Path, rule: impl Fn(&fs::Metadata) -> (u32, [u32; 2])) -> io::Result<Secret> {
    // What is checked is the file that is read, also when the path leads elsewhere a moment later.
    let mut file = fs::File::open(path)?;
    let found = file.metadata()?;
    let (open, owners) = rule(&found);
    if found.mode() & open != 0 {
        return Err(io::Error::other(format!("its mode is {:04o}, other users can read it", found.mode() & 0o7777)));
    }
    if !owners.contains(&found.uid()) {
        return Err(io::Error::other(format!("it belongs to uid {}", found.uid())));
    }
    read_whole(&mut file)
}

/// Reads a whole file of one line, without a buffer that grows and leaves copies behind.
fn read_whole(file: &mut impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(vec![0; LONGEST_PIN_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => return Ok(Secret::from_line(bytes[..length].to_vec())),
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(too_long())
}

pub(super) fn too_long() -> io::Error {
    io::Error::other("it is too long for a PIN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

    fn pin_file(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_pin_file_that_others_can_read_is_refused() {
        let (_directory, path) = pin_file(0o640, "1234\n");

        let error = read(&path).unwrap_err();

        assert!(error.to_string().contains("mode is 0640"), "{error}");
    }

    #[test]
    fn a_credential_is_read_although_its_file_is_read_only() {
        let (_directory, path) = pin_file(0o400, "1234\n");

        assert_eq!(read_credential(&path).unwrap().expose(), b"1234");
    }

    #[test]
    fn a_credential_that_others_can_read_is_refused() {
        let (_directory, path) = pin_file(0o404, "1234\n");

        let error = read_credential(&path).unwrap_err();

        assert!(error.to_string().contains("mode is 0404"), "{error}");
    }

    #[test]
    fn a_file_that_is_longer_than_any_pin_is_not_taken_for_one() {
        let (_directory, path) = pin_file(0o600, &"1".repeat(1_025));

        let error = read(&path).unwrap_err();

        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn a_pin_is_the_file_without_its_line_end() {
        let (_directory, path) = pin_file(0o600, "1234\n");

        assert_eq!(read(&path).unwrap().expose(), b"1234");
    }
}
