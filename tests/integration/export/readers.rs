//! Every kind of file for every kind of key, opened by four other programs.
//!
//! A reader has opened a file when the private key that it gives out makes a signature that verifies with the
//! public key that `key public` printed. What a reader cannot do is listed in `readers.tsv`, with the reason.

use super::{PASSPHRASE, certified_key, printed, private_key_in, rig_with_passphrase};
use crate::support::{Rig, openssl, run};
use std::{fs, process::Command, thread};

const FORMATS: [(&str, &[&str]); 3] = [
    ("compat", &["--format", "pkcs12", "--profile", "compat"]),
    ("modern", &["--format", "pkcs12", "--profile", "modern"]),
    ("pem", &["--format", "pem"]),
];
/// Each gives the private key of a file in clear, as PEM, or says why it cannot.
const READERS: [(&str, Read); 4] =
    [("OpenSSL", by_openssl), ("keytool", by_keytool), ("NSS", by_nss), ("GnuTLS", by_gnutls)];

type Read = fn(&Cell) -> Result<String, String>;

/// One file for one reader.
struct Cell<'a> {
    rig: &'a Rig,
    reader: &'static str,
    format: &'static str,
    algorithm: &'static str,
}

#[test]
fn every_reader_opens_every_file_of_an_rsa_key_but_for_the_listed_ones() {
    assert_opened(&["rsa-2048", "rsa-3072", "rsa-4096"]);
}

#[test]
fn every_reader_opens_every_file_of_a_nist_curve_but_for_the_listed_ones() {
    assert_opened(&["p256", "p384", "p521"]);
}

#[test]
fn every_reader_opens_every_file_of_secp256k1_but_for_the_listed_ones() {
    assert_opened(&["secp256k1"]);
}

fn assert_opened(algorithms: &'static [&'static str]) {
    let (rig, passphrase) = rig_with_passphrase();
    for algorithm in algorithms {
        certified_key(&rig, algorithm, algorithm);
        rig.public_key(algorithm);
        for (format, options) in FORMATS {
            let out = rig.file(&format!("{algorithm}.{format}"));
            let create = ["export", "create", algorithm, "--out", &out, "--passphrase-file", &passphrase];
            rig.keyward(&[&create[..], options].concat()).succeeded();
        }
    }

    let mut wrong = Vec::new();
    thread::scope(|scope| {
        let rig = &rig;
        let running = READERS.map(|(reader, read)| scope.spawn(move || judged(rig, algorithms, reader, read)));
        wrong.extend(running.into_iter().flat_map(|reader| reader.join().unwrap()));
    });

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What one reader does otherwise than the table says.
fn judged(rig: &Rig, algorithms: &[&'static str], reader: &'static str, read: Read) -> Vec<String> {
    let mut wrong = Vec::new();
    for algorithm in algorithms {
        for (format, _) in FORMATS {
            let cell = Cell { rig, reader, format, algorithm };
            let opened = read(&cell).and_then(|key| signs_for(&cell, &key));
            match (opened, cell.listed()) {
                (Err(cause), None) => wrong.push(format!("{reader} does not open {format} of {algorithm}: {cause}")),
                (Ok(()), Some(reason)) => {
                    wrong.push(format!("{reader} opens {format} of {algorithm}; take `{reason}` off readers.tsv"));
                }
                _ => {}
            }
        }
    }
    wrong
}

fn by_openssl(cell: &Cell<'_>) -> Result<String, String> {
    match cell.format {
        "pem" => printed(openssl(&["pkey", "-in", &cell.file(), "-passin", &format!("pass:{PASSPHRASE}")])),
        _ => private_key_in(&cell.file(), PASSPHRASE),
    }
}

/// By way of keytool's own copy of the entry.
fn by_keytool(cell: &Cell<'_>) -> Result<String, String> {
    let copy = cell.beside("p12");
    let options = ["-srckeystore", &cell.file(), "-destkeystore", &copy, "-deststoretype", "PKCS12"];
    let passwords = ["-srcstorepass", PASSPHRASE, "-deststorepass", PASSPHRASE];
    let said = printed(run(Command::new("keytool").arg("-importkeystore").args(options).args(passwords)))?;
    private_key_in(&copy, PASSPHRASE).map_err(|cause| format!("{said}{cause}"))
}

/// By way of an NSS database.
fn by_nss(cell: &Cell<'_>) -> Result<String, String> {
    let directory = cell.beside("nss");
    fs::create_dir(&directory).unwrap();
    let (database, passphrase) = (format!("sql:{directory}"), cell.rig.file("passphrase"));
    let copy = cell.beside("p12");
    let nickname = format!("CN={}", cell.algorithm);
    run(Command::new("certutil").args(["-N", "--empty-password", "-d", &database])).succeeded();
    let pk12util = |arguments: &[&str]| {
        printed(run(Command::new("pk12util").args(arguments).args(["-d", &database, "-w", &passphrase])))
    };
    pk12util(&["-i", &cell.file()])?;
    pk12util(&["-o", &copy, "-n", &nickname])?;
    private_key_in(&copy, PASSPHRASE)
}

fn by_gnutls(cell: &Cell<'_>) -> Result<String, String> {
    let certtool =
        |arguments: &[&str]| printed(run(Command::new("certtool").args(arguments).args(["--password", PASSPHRASE])));
    let (mut file, copy) = (cell.file(), cell.beside("p8"));
    if cell.format != "pem" {
        // Checks the MAC, opens the certificates, and prints the bag with the key as it is.
        let bags = certtool(&["--p12-info", "--inder", "--infile", &file])?;
        file = cell.beside("bag");
        fs::write(&file, block(&bags, "ENCRYPTED PRIVATE KEY")).unwrap();
    }
    // Opened, and written again: GnuTLS prints an elliptic key in clear without its curve.
    certtool(&["--to-p8", "--load-privkey", &file, "--outfile", &copy])?;
    printed(openssl(&["pkey", "-in", &copy, "-passin", &format!("pass:{PASSPHRASE}")]))
}

/// Whether the key makes a signature that verifies with the public key that keyward printed.
fn signs_for(cell: &Cell<'_>, private_key: &str) -> Result<(), String> {
    let (key, signature) = (cell.beside("key"), cell.beside("sig"));
    let message = cell.rig.file("passphrase");
    fs::write(&key, private_key).unwrap();
    printed(openssl(&["dgst", "-sha256", "-sign", &key, "-out", &signature, &message]))?;
    let public_key = cell.rig.public_key(cell.algorithm);
    printed(openssl(&["dgst", "-sha256", "-verify", &public_key, "-signature", &signature, &message])).map(|_| ())
}

/// The PEM block of this kind; empty if there is none.
fn block<'a>(text: &'a str, kind: &str) -> &'a str {
    let end = format!("-----END {kind}-----");
    let found = text.find(&format!("-----BEGIN {kind}-----")).zip(text.find(&end));
    found.map_or("", |(from, to)| &text[from..to + end.len()])
}

impl Cell<'_> {
    fn file(&self) -> String {
        self.rig.file(&format!("{}.{}", self.algorithm, self.format))
    }

    /// A path of this cell alone.
    fn beside(&self, ending: &str) -> String {
        self.rig.file(&format!("{}-{}-{}.{ending}", self.reader, self.algorithm, self.format))
    }

    /// The reason why this reader cannot, if it is listed.
    fn listed(&self) -> Option<&'static str> {
        let fits = |listed: &str, own: &str| listed == "*" || listed == own;
        include_str!("readers.tsv").lines().filter(|line| !line.starts_with('#')).skip(1).find_map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let [reader, format, algorithm, reason] = fields[..] else { panic!("readers.tsv: {line}") };
            let own = reader == self.reader && fits(format, self.format) && fits(algorithm, self.algorithm);
            own.then_some(reason)
        })
    }
}
