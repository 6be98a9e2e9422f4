//! SoftHSM's own file in a rig, and the copy that is kept of it.
//!
//! SoftHSM 2.6.1 rewrites `token.object` in place at every login. A kill or power cut in that moment leaves it
//! empty, and in it is the key that every object of the token is encrypted under, itself under the PIN. Its length
//! never changes.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Keeps a copy of the file of each token in an instance directory while it is whole, and puts it back when it was cut;
/// for the time between two workers.
///
/// # Errors
/// A file cannot be written.
pub fn mend(directory: &Path) -> io::Result<()> {
    for (file, copy) in files(directory) {
        if !keep_file(&file, &copy)? {
            tracing::warn!(file = %file.display(), "SoftHSM's file was cut by an interrupted login; its copy is put back");
            replace(&file, &fs::read(&copy)?)?;
        }
    }
    Ok(())
}

/// Keeps a copy of each file as it is now, after a change of the PIN: the copy of before is good with the old one only.
///
/// # Errors
/// A file cannot be written, or somebody is just writing it.
pub fn keep(directory: &Path) -> io::Result<()> {
    for (file, copy) in files(directory) {
        if !keep_file(&file, &copy)? {
            return Err(io::Error::other(format!("{} is just being written", file.display())));
        }
    }
    Ok(())
}

/// Each token's file and its copy.
fn files(directory: &Path) -> Vec<(PathBuf, PathBuf)> {
    let tokens = fs::read_dir(directory.join("softhsm/tokens")).into_iter().flatten().filter_map(Result::ok);
    let copy = |name| directory.join("softhsm").join(name).with_extension("token-object");
    tokens.map(|token| (token.path().join("token.object"), copy(token.file_name()))).collect()
}

/// Copies a file unless it is shorter than its copy; answers whether it was whole.
fn keep_file(file: &Path, copy: &Path) -> io::Result<bool> {
    let (now, kept) = (fs::read(file).unwrap_or_default(), fs::read(copy).unwrap_or_default());
    if now.len() < kept.len() {
        return Ok(false);
    }
    if now != kept {
        replace(copy, &now)?;
    }
    Ok(true)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // What an interrupted replacement has left.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_that_was_cut_is_put_back_and_a_whole_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("softhsm/tokens/0190b2a1-0000");
        fs::create_dir_all(&token).unwrap();
        let file = token.join("token.object");

        for whole in [b"first, whole", b"other, whole"] {
            fs::write(&file, whole).unwrap();
            mend(directory.path()).unwrap();
            for cut in [0, 5] {
                fs::write(&file, &whole[..cut]).unwrap();
                mend(directory.path()).unwrap();

                assert_eq!(fs::read(&file).unwrap(), whole);
            }
        }
        assert_eq!(fs::read_dir(token).unwrap().count(), 1);
    }

    #[test]
    fn an_instance_without_an_embedded_token_has_nothing_to_mend() {
        let directory = tempfile::tempdir().unwrap();

        mend(directory.path()).unwrap();

        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
