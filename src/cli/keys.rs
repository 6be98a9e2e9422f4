//! `keyward key`.

use super::{
    exit::CliError,
    files::{self, NewFile},
    output::{Output, lines, put, put_line, second, table},
};
use crate::base::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    custody::{KeyPolicy, Presence, Purpose},
};
use crate::client::{Client, ClientError};
use crate::keys::api::{AdoptRequest, AdoptionView, CsrRequest, GenerateRequest, KeyView, Page, SignRequest};
use crate::pki::signature::digest as digest_of;
use base64ct::{Base64, Encoding as _};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Key {
    /// Make a key pair in the token
    #[command(after_help = "Examples:
  keyward key generate web --algorithm rsa-2048 --policy exportable
  keyward key generate signer --algorithm ed25519 --policy token-only --purpose signing")]
    Generate {
        /// Unique name: letters, digits, `.`, `_`, `-`
        label: String,
        /// rsa-2048, rsa-3072, rsa-4096, p256, p384, p521, secp256k1 or ed25519
        #[arg(long)]
        algorithm: KeyAlgorithm,
        /// token-only: never leaves. backup-only: leaves only wrapped. exportable: also by a controlled export
        #[arg(long, default_value = "backup-only")]
        policy: KeyPolicy,
        /// tls, client, signing or secrets
        #[arg(long, default_value = "tls")]
        purpose: Purpose,
        /// Approvals by others that an export needs [default: 0 in a rig, 1 in production]
        #[arg(long, value_name = "N")]
        approvals: Option<u32>,
        /// Free text
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
        /// Token to make it in [default: the instance's own]
        #[arg(long, value_name = "LABEL")]
        token: Option<String>,
    },
    /// Take a key that another program made into the inventory; its object is not changed
    #[command(after_help = "Examples:
  keyward token scan
  keyward key adopt web 'pkcs11:token=keyward;id=%01;type=private'
  keyward key adopt old 'pkcs11:token=hsm;object=old' --policy token-only --public-key old.crt")]
    Adopt {
        /// Name in the inventory; the object keeps its own
        label: String,
        /// RFC 7512 URI of the private key, as `token scan` prints it
        uri: String,
        /// [default: what its attributes allow, `backup-only` if it can be wrapped]
        #[arg(long)]
        policy: Option<KeyPolicy>,
        /// [default: tls, or secrets if it cannot sign]
        #[arg(long)]
        purpose: Option<Purpose>,
        /// Approvals that an export needs [default: 0 in a rig, 1 in production]
        #[arg(long, value_name = "N")]
        approvals: Option<u32>,
        /// At most 1,024 characters
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
        /// Its public key, PEM, if the token does not tell it
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
    /// Every key
    List,
    /// One key, with everything that is known of it
    Show {
        /// Label or id
        key: String,
    },
    /// The public key, as PEM
    Public {
        /// Label or id
        key: String,
        /// Write it to a new file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// A certificate signing request, signed in the token
    #[command(after_help = "Example:
  keyward key csr web --subject CN=web.example,O=Example --san dns:web.example,ip:192.0.2.1 --out web.csr")]
    Csr {
        /// Label or id
        key: String,
        /// Distinguished name
        #[arg(long)]
        subject: String,
        /// dns:…, ip:…, email:…, uri:…; several with commas, or the option again
        #[arg(long, value_delimiter = ',')]
        san: Vec<String>,
        /// The key's default if absent
        #[arg(long)]
        signature_algorithm: Option<SignatureAlgorithm>,
        /// Write it to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a file; the file is the message, which is hashed as the algorithm says
    #[command(after_help = "Example:
  keyward key sign web --in message --out message.sig
  openssl dgst -sha256 -verify web.pub -signature message.sig message")]
    Sign {
        /// Label or id
        key: String,
        /// The message
        #[arg(long = "in", value_name = "FILE")]
        input: PathBuf,
        /// The key's default if absent; `-fixed` gives r‖s instead of DER
        #[arg(long)]
        signature_algorithm: Option<SignatureAlgorithm>,
        /// Write the signature to a new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Destroy a key in its token; a tombstone stays, and copies are named
    Destroy {
        /// Label or id
        key: String,
    },
}

pub(super) async fn run(key: Key, client: &Client, yes: bool, output: Output) -> Result<(), CliError> {
    match key {
        Key::Generate { label, algorithm, policy, purpose, approvals, comment, token } => {
            let (policy, purpose) = (Some(policy), Some(purpose));
            let request = GenerateRequest { label, algorithm, policy, purpose, approvals, comment, token };
            output.answer(&client.generate_key(&request).await?, show);
            Ok(())
        }
        Key::Adopt { label, uri, policy, purpose, approvals, comment, public_key } => {
            let public_key_pem = public_key.as_deref().map(files::read_text).transpose()?;
            let request = AdoptRequest { label, uri, policy, purpose, approvals, comment, public_key_pem };
            output.answer(&client.adopt_key(&request).await?, show);
            Ok(())
        }
        Key::List => list(client, output).await,
        Key::Show { key } => {
            output.answer(&client.key(&key).await?, show);
            Ok(())
        }
        Key::Public { key, out } => public(client, &key, out, output).await,
        Key::Csr { key, subject, san, signature_algorithm, out } => {
            let file = NewFile::create_public(&out)?;
            let answer = client.csr(&key, &CsrRequest { subject, san, signature_algorithm }).await?;
            file.finish(answer.pem.as_bytes())?;
            output.answer(&answer, |_| put_line!("{}", out.display()));
            Ok(())
        }
        Key::Sign { key, input, signature_algorithm, out } => {
            sign(client, (&key, signature_algorithm), (input, out), output).await
        }
        Key::Destroy { key } => destroy(client, &key, yes, output).await,
    }
}

async fn list(client: &Client, output: Output) -> Result<(), CliError> {
    let mut all = client.keys(None).await?;
    while let Some(next) = all.next.take() {
        let Page { items, next } = client.keys(Some(&next)).await?;
        all.items.extend(items);
        all.next = next;
    }
    output.answer(&all, |all| {
        let row = |key: &KeyView| {
            [
                key.label.to_string(),
                key.algorithm.to_string(),
                key.policy.to_string(),
                key.enforcement.to_string(),
                key.purpose.to_string(),
                state(key),
                key.certificates.len().to_string(),
            ]
        };
        let head = ["LABEL", "ALGORITHM", "POLICY", "ENFORCED BY", "PURPOSE", "STATE", "CERTS"];
        table(head, all.items.iter().map(row));
    });
    Ok(())
}

/// Where a key is goes without saying as long as it is there.
fn state(key: &KeyView) -> String {
    match key.presence {
        Presence::Present => key.state.to_string(),
        presence => format!("{}, {presence}", key.state),
    }
}

async fn public(client: &Client, key: &str, out: Option<PathBuf>, output: Output) -> Result<(), CliError> {
    let answer = client.public_key(key).await?;
    if let Some(out) = &out {
        NewFile::create_public(out)?.finish(answer.pem.as_bytes())?;
    }
    output.answer(&answer, |answer| match &out {
        Some(out) => put_line!("{}", out.display()),
        None => put(format_args!("{}", answer.pem)),
    });
    Ok(())
}

async fn sign(
    client: &Client,
    (key, algorithm): (&str, Option<SignatureAlgorithm>),
    (input, out): (PathBuf, PathBuf),
    output: Output,
) -> Result<(), CliError> {
    let message = files::read(&input)?;
    let file = NewFile::create_public(&out)?;
    let algorithm = match algorithm {
        Some(algorithm) => algorithm,
        None => client.key(key).await?.algorithm.default_signature(),
    };
    let answer = client.sign(key, &to_sign(algorithm, &message)).await?;
    let signature = answer.signatures.first().map_or("", String::as_str);
    let signature = Base64::decode_vec(signature).map_err(ClientError::unreadable)?;
    file.finish(&signature)?;
    output.answer(&answer, |answer| put_line!("{}  ({})", out.display(), answer.algorithm));
    Ok(())
}

/// What is sent of a message: its digest, so that it may be of any length; for Ed25519 itself.
fn to_sign(algorithm: SignatureAlgorithm, message: &[u8]) -> SignRequest {
    let (digests, messages) = match algorithm.digest() {
        Some(digest) => (vec![Base64::encode_string(&digest_of(digest, message))], Vec::new()),
        None => (Vec::new(), vec![Base64::encode_string(message)]),
    };
    SignRequest { algorithm: Some(algorithm), digests, messages }
}

async fn destroy(client: &Client, key: &str, yes: bool, output: Output) -> Result<(), CliError> {
    let view = client.key(key).await?;
    files::confirm(&format!("Destroy {} ({}, {})", view.label, view.algorithm, view.id), yes)?;
    let answer = client.destroy_key(key).await?;
    output.answer(&answer, |answer| {
        put_line!("{} destroyed, {} objects", answer.label, answer.objects);
        for copy in &answer.copies {
            put_line!("a copy is still in {} {} of {}", copy.kind, copy.holder, copy.made_at);
        }
    });
    Ok(())
}

fn show(key: &KeyView) {
    let mut said = vec![
        ("label", key.label.to_string()),
        ("id", key.id.to_string()),
        ("algorithm", key.algorithm.to_string()),
        ("policy", format!("{}, enforced by {}", key.policy, key.enforcement)),
        ("purpose", key.purpose.to_string()),
        ("approvals", key.approvals.to_string()),
        ("origin", key.origin.to_string()),
    ];
    said.extend(key.adoption.iter().flat_map(adoption));
    said.extend([
        ("state", format!("{}, {}", key.state, key.presence)),
        ("token", key.token.clone()),
        ("certificates", key.certificates.join("\n")),
        ("comment", key.comment.clone()),
        ("created", second(key.created_at)),
    ]);
    lines(said);
    put(format_args!("{}", key.public_key_pem));
}

/// Where an adopted key came from, and what its object said of itself.
fn adoption(adoption: &AdoptionView) -> [(&'static str, String); 2] {
    let seen = adoption.attributes;
    let evidence = [
        ("made in this token", seen.local),
        ("never extractable", seen.never_extractable),
        ("extractable", seen.extractable),
        ("wrapped by trusted keys only", seen.wrap_with_trusted),
        ("the PIN is asked for each use", seen.always_authenticate),
    ];
    let evidence: Vec<_> = evidence.into_iter().filter_map(|(words, is_so)| is_so.then_some(words)).collect();
    [("adopted from", adoption.uri.clone()), ("its attributes", evidence.join(", "))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sent_as_its_digest_and_whole_for_ed25519_only() {
        let hashed = to_sign(SignatureAlgorithm::EcdsaSha256, b"abc");
        let whole = to_sign(SignatureAlgorithm::Ed25519, b"abc");

        // FIPS 180-4, SHA-256 of "abc".
        assert_eq!(hashed.digests, ["ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="]);
        assert!(hashed.messages.is_empty());
        assert_eq!((whole.digests.len(), whole.messages), (0, vec!["YWJj".to_owned()]));
    }
}
