//! The text in which a share is kept: a rig's share file, and the sheet of one custodian.
//!
//! Comment lines (`#`) name the instance, the fingerprint of its root and the check values of the KEKs;
//! `words: ` has a SLIP-39 share, `secret-hex: ` the secret itself, for whom only OpenSSL is left.
//! Whatever of this a file has must agree with the rest.

use super::{
    CeremonyError,
    kek::{self, SECRET_BYTES},
    slip39::{self, Mnemonic, NO_PASSPHRASE, Quorum, Random, Share},
};
use crate::base::{custody::KekPurpose, ids::InstanceId, secret::Secret};
use std::fmt::Write;
use zeroize::Zeroizing;

/// What share files give back.
#[derive(Debug)]
pub struct ShareFile {
    /// The ceremony secret; where the file records check values, they hold for it.
    pub secret: Secret,
    /// Whose secret it is, as far as the file says so.
    pub provenance: Provenance,
}

/// Which instance a secret belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The instance.
    pub instance: Option<InstanceId>,
    /// SHA-256 of the certificate of its root, 64 hex digits in lower case.
    pub root_sha256: Option<String>,
}

/// The share file of a rig: the whole secret, as one share and in hex.
///
/// # Errors
/// The secret has not 32 bytes, or the random generator failed.
pub fn write(
    secret: &Secret,
    provenance: &Provenance,
    random: &mut Random<'_>,
) -> Result<Zeroizing<String>, CeremonyError> {
    let check_values = kek::check_values(secret)?;
    let mut text = head("the ceremony secret of keyward: who has it can open every backup", &check_values, provenance);
    for share in slip39::split(secret, Quorum::SOLO, random)? {
        push_line(&mut text, "words: ", share.expose());
    }
    push_line(&mut text, "secret-hex: ", &hex(secret.expose()));
    Ok(text)
}

/// The sheet of one custodian: one share of several, with the check values of the KEKs.
#[must_use]
pub fn write_share(
    share: &Mnemonic,
    check_values: &[(KekPurpose, String)],
    provenance: &Provenance,
) -> Zeroizing<String> {
    let mut text = head("one share of the ceremony secret of keyward", check_values, provenance);
    push_line(&mut text, "words: ", share.expose());
    text
}

/// Reads a share file that suffices by itself.
///
/// # Errors
/// As [`combine_files`].
pub fn parse(text: &str) -> Result<ShareFile, CeremonyError> {
    combine_files(&[text])
}

/// Puts the secret together from share files, in any order; words or hex alone suffice.
///
/// # Errors
/// A line is of no known kind, a share cannot be used or does not belong to the others, there are too
/// few, or words, hex, check values and origin contradict each other.
pub fn combine_files(texts: &[&str]) -> Result<ShareFile, CeremonyError> {
    let mut contents = Contents::default();
    for text in texts {
        for (place, line) in text.lines().enumerate() {
            contents.read_line(line.trim(), place + 1)?;
        }
    }
    let secret = contents.secret()?;
    contents.check_check_values(&secret)?;
    Ok(ShareFile { secret, provenance: contents.provenance })
}

#[derive(Default)]
struct Contents {
    shares: Vec<Share>,
    hex_secret: Option<Secret>,
    provenance: Provenance,
    check_values: Vec<(KekPurpose, String)>,
}

impl Contents {
    fn read_line(&mut self, line: &str, number: usize) -> Result<(), CeremonyError> {
        let cannot = |cause| CeremonyError::ShareFileLine { line: number, cause };
        if line.is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            return self.read_comment(comment.trim()).map_err(cannot);
        }
        if let Some(words) = line.strip_prefix("words:") {
            let share = Share::parse(words)?;
            slip39::check_fits(&self.shares, &share)?;
            self.shares.push(share);
            return Ok(());
        }
        let digits = line.strip_prefix("secret-hex:").ok_or_else(|| cannot("it is of no known kind"))?;
        let secret = from_hex(digits.trim()).ok_or_else(|| cannot("`secret-hex` needs 64 hex digits"))?;
        agree(&mut self.hex_secret, secret).map_err(cannot)
    }

    /// Comments that keyward writes mean something; all others are for people.
    fn read_comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let Some((name, value)) = comment.split_once(':') else {
            return Ok(());
        };
        let value = value.trim();
        match name.strip_prefix("kcv ").map(str::parse) {
            Some(Ok(purpose)) => self.check_values.push((purpose, value.to_ascii_lowercase())),
            Some(Err(_)) => return Err("it has the check value of an unknown KEK"),
            None if name == "instance" => {
                agree(&mut self.provenance.instance, value.parse().map_err(|_| "the instance is not an id")?)?;
            }
            None if name == "root-sha256" => {
                from_hex(value).ok_or("the root fingerprint needs 64 hex digits")?;
                agree(&mut self.provenance.root_sha256, value.to_ascii_lowercase())?;
            }
            None => {}
        }
        Ok(())
    }

    fn secret(&mut self) -> Result<Secret, CeremonyError> {
        let Some(hex_secret) = self.hex_secret.take() else {
            return slip39::combine(&self.shares, NO_PASSPHRASE);
        };
        if !self.shares.is_empty() && slip39::combine(&self.shares, NO_PASSPHRASE)? != hex_secret {
            let cause = "`words` and `secret-hex` give different secrets".to_owned();
            return Err(CeremonyError::ShareFileMalformed { cause });
        }
        Ok(hex_secret)
    }

    fn check_check_values(&self, secret: &Secret) -> Result<(), CeremonyError> {
        for (purpose, given) in kek::check_values(secret)? {
            let mut recorded = self.check_values.iter().filter(|(of, _)| *of == purpose);
            if let Some((_, recorded)) = recorded.find(|(_, recorded)| *recorded != given) {
                let cause = format!("its secret has the {purpose} check value {given}, not {recorded}");
                return Err(CeremonyError::ShareFileMalformed { cause });
            }
        }
        Ok(())
    }
}

fn agree<T: PartialEq>(known: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if known.as_ref().is_some_and(|known| *known != value) {
        return Err("it contradicts an earlier line or file");
    }
    *known = Some(value);
    Ok(())
}

fn head(what: &str, check_values: &[(KekPurpose, String)], provenance: &Provenance) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(ROOM_BYTES));
    push_line(&mut text, "# ", what);
    push_line(&mut text, "# ", "keep it away from the backups, and from who may read them");
    if let Some(instance) = provenance.instance {
        push_line(&mut text, "# instance: ", &instance.to_string());
    }
    if let Some(root) = &provenance.root_sha256 {
        push_line(&mut text, "# root-sha256: ", root);
    }
    for (purpose, kcv) in check_values {
        push_line(&mut text, &format!("# kcv {purpose}: "), kcv);
    }
    text
}

fn push_line(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(value);
    text.push('\n');
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(digits: &str) -> Option<Secret> {
    if digits.len() != SECRET_BYTES * 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES));
    for place in (0..digits.len()).step_by(2) {
        bytes.push(u8::from_str_radix(&digits[place..place + 2], 16).ok()?);
    }
    Some(Secret::new(std::mem::take(&mut *bytes)))
}

/// More than the longest file, so that the text never grows and leaves a copy behind.
const ROOM_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::Fault;

    #[test]
    fn a_share_file_reads_back_as_it_was_written() {
        let text = written();

        let read = parse(&text).unwrap();

        assert!(read.secret == secret());
        assert_eq!(read.provenance, provenance());
    }

    #[test]
    fn a_share_file_has_these_lines() {
        let text = written();
        let lines: Vec<&str> = text.lines().collect();

        assert_eq!(
            lines[2..7],
            [
                "# instance: 0190b2a1-0000-7000-8000-000000000000",
                "# root-sha256: abababababababababababababababababababababababababababababababab",
                "# kcv backup-only: ec623f",
                "# kcv exportable: 9fd2f0",
                "# kcv inventory: 970804",
            ]
        );
        assert_eq!(lines[7].strip_prefix("words: ").unwrap().split(' ').count(), 33);
        assert_eq!(lines[8..], ["secret-hex: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"]);
    }

    #[test]
    fn words_or_hex_alone_suffice() {
        for kind in ["words:", "secret-hex:"] {
            let text = lines_of(&written(), |line| line.starts_with(kind));

            let read = parse(&text.replace('\n', "\r\n")).unwrap();

            assert!(read.secret == secret(), "{kind}");
            assert_eq!(read.provenance, Provenance::default());
        }
    }

    #[test]
    fn words_and_hex_that_disagree_are_refused() {
        let text = lines_of(&written(), |line| !line.starts_with('#')).replace("secret-hex: 00", "secret-hex: 01");

        assert_eq!(
            parse(&text).unwrap_err().to_string(),
            "the share file does not hold together: `words` and `secret-hex` give different secrets"
        );
    }

    #[test]
    fn a_check_value_that_does_not_hold_is_named() {
        let text = written().replace("exportable: 9fd2f0", "exportable: 9fd2f1");

        assert_eq!(
            parse(&text).unwrap_err().to_string(),
            "the share file does not hold together: its secret has the exportable check value 9fd2f0, not 9fd2f1"
        );
    }

    #[test]
    fn a_line_of_no_known_kind_is_refused_and_not_repeated() {
        let text = format!("{}00010203\n", *written());

        let error = parse(&text).unwrap_err();

        assert_eq!(error.to_string(), "line 10 of the share file cannot be used: it is of no known kind");
        assert_eq!(error.entry().code, "share-file-malformed");
    }

    #[test]
    fn a_mistyped_word_in_a_file_is_named() {
        let text = written().replace("words: ", "words: akademic ");

        assert_eq!(
            parse(&text).unwrap_err().to_string(),
            "word 1 of the share ` …`, `akademic`, is not in the SLIP-39 list"
        );
    }

    #[test]
    fn lines_with_bad_values_say_which_line() {
        for (text, cause) in [
            ("secret-hex: 0011", "line 1 of the share file cannot be used: `secret-hex` needs 64 hex digits"),
            ("\n# instance: mine", "line 2 of the share file cannot be used: the instance is not an id"),
            ("# root-sha256: aé", "line 1 of the share file cannot be used: the root fingerprint needs 64 hex digits"),
            ("# kcv master: 00", "line 1 of the share file cannot be used: it has the check value of an unknown KEK"),
            ("", "no share was given"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), cause);
        }
    }

    #[test]
    fn the_sheets_of_a_quorum_give_the_secret_in_several_files_or_in_one() {
        let sheets = sheets();

        let several = combine_files(&[&sheets[2], &sheets[0]]).unwrap();
        let one = parse(&[sheets[1].as_str(), sheets[2].as_str()].concat()).unwrap();

        assert!(several.secret == secret() && one.secret == secret());
        assert_eq!((&several.provenance, &one.provenance), (&provenance(), &provenance()));
    }

    #[test]
    fn one_sheet_is_too_few_and_the_same_sheet_twice_is_noticed() {
        let sheets = sheets();

        assert_eq!(parse(&sheets[0]).unwrap_err().entry().code, "shares-too-few");
        assert_eq!(combine_files(&[&sheets[0], &sheets[0]]).unwrap_err().entry().code, "share-repeated");
    }

    #[test]
    fn files_of_two_instances_are_not_mixed() {
        let sheets = sheets();
        let other = sheets[1].replace("0190b2a1", "0190b2a2");

        let error = combine_files(&[&sheets[0], &other]).unwrap_err();

        assert_eq!(
            error.to_string(),
            "line 3 of the share file cannot be used: it contradicts an earlier line or file"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(format!("{:?}", parse(&written()).unwrap()).starts_with("ShareFile { secret: Secret(redacted)"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in "((words|secret-hex|# kcv|# instance|#)?:?[ a-f0-9\\PC]{0,70}\n){0,4}") {
            let _ = parse(&text);
        }
    }

    fn secret() -> Secret {
        Secret::new((0..32).collect())
    }

    fn provenance() -> Provenance {
        Provenance {
            instance: Some("0190b2a1-0000-7000-8000-000000000000".parse().unwrap()),
            root_sha256: Some("ab".repeat(32)),
        }
    }

    fn written() -> Zeroizing<String> {
        write(&secret(), &provenance(), &mut sevens).unwrap()
    }

    fn sheets() -> Vec<Zeroizing<String>> {
        let shares = slip39::split(&secret(), Quorum::new(2, 3).unwrap(), &mut sevens).unwrap();
        let check_values = kek::check_values(&secret()).unwrap();
        shares.iter().map(|share| write_share(share, &check_values, &provenance())).collect()
    }

    fn sevens(bytes: &mut [u8]) -> Result<(), CeremonyError> {
        bytes.fill(7);
        Ok(())
    }

    fn lines_of(text: &str, wanted: impl Fn(&str) -> bool) -> String {
        text.lines().filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect()
    }
}
