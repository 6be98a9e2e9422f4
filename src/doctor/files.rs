//! The files of the instance directory: secrets are for their owner alone.

use super::api::Finding;
use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Whether others could read or change something.
pub(super) fn examine(directory: &Path) -> Vec<Finding> {
    vec![owner(directory), modes(directory)]
}

/// Closes what is open to others, and removes what an `init` that was killed has left; says what it did.
pub(super) fn mend(directory: &Path) -> Vec<String> {
    let mut fixed = Vec::new();
    for (path, mode) in open(directory) {
        let closed = mode & 0o700;
        match fs::set_permissions(&path, fs::Permissions::from_mode(closed)) {
            Ok(()) => fixed.push(format!("{}: mode {mode:04o} is now {closed:04o}", path.display())),
            Err(error) => tracing::warn!(path = %path.display(), %error, "the mode cannot be changed"),
        }
    }
    let marker = directory.join(MARKER);
    if fs::remove_file(&marker).is_ok() {
        fixed.push(format!("{}: removed; the instance is whole", marker.display()));
    }
    fixed
}

fn owner(directory: &Path) -> Finding {
    const WHAT: &str = "owner of the directory";
    let ours = rustix::process::geteuid().as_raw();
    match fs::metadata(directory) {
        Ok(seen) if seen.uid() == ours => Finding::ok(WHAT, format!("uid {ours}"), "it is this user's"),
        Ok(seen) => Finding::failed(
            WHAT,
            format!("uid {}", seen.uid()),
            "another user can change everything in it",
            "give it to the user that runs keyward, by `chown -R`",
        ),
        Err(error) => Finding::failed(WHAT, error.to_string(), "it cannot be read", "look at its file system"),
    }
}

fn modes(directory: &Path) -> Finding {
    const WHAT: &str = "file modes";
    let open = open(directory);
    if open.is_empty() {
        return Finding::ok(WHAT, "closed to others", "no other user can read a secret or change the instance");
    }
    let list: Vec<String> = open.iter().map(|(path, mode)| format!("{} {mode:04o}", path.display())).collect();
    Finding::failed(
        WHAT,
        list.join(", "),
        "other users may have read them",
        "`keyward doctor --fix` closes them; change a PIN that was readable",
    )
}

/// The directory itself, and the secrets in it, that others can do something with.
fn open(directory: &Path) -> Vec<(PathBuf, u32)> {
    let mut paths = vec![directory.to_owned()];
    paths.extend(SECRETS.iter().map(|name| directory.join(name)));
    paths.extend(superseded(directory).unwrap_or_default());
    let mode = |path: &PathBuf| fs::metadata(path).map(|seen| seen.mode() & 0o7777);
    let with_mode = |path: PathBuf| mode(&path).ok().map(|mode| (path, mode));
    paths.into_iter().filter_map(with_mode).filter(|(_, mode)| mode & 0o077 != 0).collect()
}

/// Share files of former KEKs.
fn superseded(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.filter_map(Result::ok);
    let is_share = |name: &str| name.starts_with("share-superseded");
    Ok(entries.filter(|entry| entry.file_name().to_str().is_some_and(is_share)).map(|entry| entry.path()).collect())
}

/// What `init` leaves if it was killed at its very end.
const MARKER: &str = "init-unfinished";
/// Names that keyward gives to secrets, and folders that hold some.
const SECRETS: &[&str] = &[
    "share-provisional.txt",
    "softhsm",
    "softhsm/pin",
    "softhsm/so-pin",
    "softhsm/tokens",
    "tls/server.key",
    "pin-refused",
    "so-pin-refused",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_found_and_closed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("softhsm")).unwrap();
        let pin = directory.path().join("softhsm/pin");
        fs::write(&pin, "1").unwrap();
        for (path, mode) in [(directory.path().to_owned(), 0o700), (pin.clone(), 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(directory.path().join("softhsm"), fs::Permissions::from_mode(0o700)).unwrap();

        let found = modes(directory.path());
        let fixed = mend(directory.path());

        assert!(found.seen.ends_with("softhsm/pin 0644"), "{found:?}");
        assert!(fixed.len() == 1 && fixed[0].ends_with("mode 0644 is now 0600"), "{fixed:?}");
        assert_eq!(modes(directory.path()).seen, "closed to others");
        assert_eq!(fs::read_to_string(pin).unwrap(), "1");
    }

    #[test]
    fn nothing_is_mended_where_nothing_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();

        assert_eq!(mend(directory.path()), Vec::<String>::new());
    }
}
