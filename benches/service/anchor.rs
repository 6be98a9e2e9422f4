//! The anchor: bare `C_SignInit` and `C_Sign` by cryptoki, in a process of its own, on a SoftHSM token of its own with
//! keys of the same types and attributes.

use crate::{Outcome, usage::cpu_seconds, workload::Algorithm};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The process that signs.
pub(crate) struct Anchor {
    child: Child,
    asked: ChildStdin,
    answered: BufReader<ChildStdout>,
}

/// What bare signing reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    /// Signatures a second.
    pub(crate) rate: f64,
    /// CPU seconds per 1,000 signatures.
    pub(crate) cpu: f64,
}

impl Anchor {
    /// Makes the token in an empty directory, and the keys.
    pub(crate) fn start(directory: &Path, module: &Path) -> Outcome<Self> {
        fs::create_dir_all(directory.join("tokens"))?;
        let conf = directory.join("softhsm2.conf");
        let tokens = directory.join("tokens");
        fs::write(&conf, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([COMMAND.as_ref(), module.as_os_str()])
            .env("SOFTHSM2_CONF", conf)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asked = child.stdin.take().ok_or("no pipe to the anchor")?;
        let answered = BufReader::new(child.stdout.take().ok_or("no pipe from the anchor")?);
        let mut anchor = Self { child, asked, answered };
        // It answers when its keys are there.
        anchor.bare(Algorithm::P256, 1, Duration::from_millis(1))?;
        Ok(anchor)
    }

    /// Signs in so many threads for so long.
    pub(crate) fn bare(&mut self, algorithm: Algorithm, threads: usize, window: Duration) -> Outcome<Bare> {
        writeln!(self.asked, "{} {threads} {}", algorithm.name(), window.as_millis())?;
        let mut line = String::new();
        self.answered.read_line(&mut line)?;
        let (rate, cpu) = line.trim().split_once(' ').ok_or("the anchor ended; what it said is above")?;
        Ok(Bare { rate: rate.parse()?, cpu: cpu.parse()? })
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        // A pipe that closes would do, but not if a measurement is under way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The anchor's own process: `ALGORITHM THREADS MILLISECONDS` in, `RATE CPU` out.
pub(crate) fn answer(module: &Path) -> Outcome<()> {
    let token = Token::make(module)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let [algorithm, threads, window_ms] = words[..] else { return Err("not a request".into()) };
        let algorithm: Algorithm = algorithm.parse()?;
        let bare = token.measure(algorithm, threads.parse()?, Duration::from_millis(window_ms.parse()?))?;
        println!("{} {}", bare.rate, bare.cpu);
    }
    Ok(())
}

struct Token {
    context: Pkcs11,
    slot: Slot,
    keys: Vec<(Algorithm, ObjectHandle)>,
    /// The login lasts as long as this.
    _session: Session,
}

impl Token {
    fn make(module: &Path) -> Outcome<Self> {
        let context = Pkcs11::new(module)?;
        context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let pin = AuthPin::new("only for measuring".into());
        let empty = *context.get_slots_with_token()?.first().ok_or("SoftHSM has no slot")?;
        context.init_token(empty, &pin, "bench")?;
        // SoftHSM gives an initialised token another slot.
        let slot = *context.get_slots_with_initialized_token()?.first().ok_or("the token was not made")?;
        let session = context.open_rw_session(slot)?;
        session.login(UserType::So, Some(&pin))?;
        session.init_pin(&pin)?;
        session.logout()?;
        session.login(UserType::User, Some(&pin))?;
        let mut keys = Vec::new();
        for algorithm in Algorithm::ALL {
            keys.push((algorithm, make_key(&session, algorithm)?));
        }
        Ok(Self { context, slot, keys, _session: session })
    }

    fn measure(&self, algorithm: Algorithm, threads: usize, window: Duration) -> Outcome<Bare> {
        let key = self.keys.iter().find(|(of, _)| *of == algorithm).ok_or("no such key")?.1;
        let sessions = (0..threads).map(|_| self.context.open_ro_session(self.slot)).collect::<Result<Vec<_>, _>>()?;
        let (before, started) = (cpu_seconds(std::process::id())?, Instant::now());
        let signed = thread::scope(|scope| {
            let running: Vec<_> = sessions
                .into_iter()
                .map(|session| scope.spawn(move || sign_until(&session, key, algorithm, started + window)))
                .collect();
            running.into_iter().map(|thread| thread.join().map_err(|_| "a thread ended")?).sum::<Outcome<u32>>()
        })?;
        let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds(std::process::id())? - before);
        Ok(Bare { rate: f64::from(signed) / elapsed, cpu: cpu * 1_000.0 / f64::from(signed) })
    }
}

fn sign_until(session: &Session, key: ObjectHandle, algorithm: Algorithm, until: Instant) -> Outcome<u32> {
    let input = to_be_signed(algorithm);
    let mechanism = match algorithm {
        Algorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
        Algorithm::P256 => Mechanism::Ecdsa,
        Algorithm::Rsa2048 => Mechanism::RsaPkcs,
    };
    let mut signed = 0;
    while Instant::now() < until {
        session.sign(&mechanism, key, &input)?;
        signed += 1;
    }
    Ok(signed)
}

/// What the product hands to `C_Sign` for a digest.
fn to_be_signed(algorithm: Algorithm) -> Vec<u8> {
    match algorithm {
        Algorithm::Rsa2048 => [SHA256_DIGEST_INFO, [7; 32].as_slice()].concat(),
        Algorithm::Ed25519 | Algorithm::P256 => vec![7; 32],
    }
}

/// A token object like keyward's own.
fn make_key(session: &Session, algorithm: Algorithm) -> Outcome<ObjectHandle> {
    let label = Attribute::Label(algorithm.name().into());
    let mut public = vec![Attribute::Token(true), Attribute::Verify(true), label.clone()];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label,
    ];
    let mechanism = match algorithm {
        Algorithm::Ed25519 => {
            // SoftHSM 2.6.1 takes the PrintableString only, not the object identifier.
            public.push(Attribute::EcParams(b"\x13\x0cedwards25519".to_vec()));
            Mechanism::EccEdwardsKeyPairGen
        }
        Algorithm::P256 => {
            public.push(Attribute::EcParams(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07".to_vec()));
            Mechanism::EccKeyPairGen
        }
        Algorithm::Rsa2048 => {
            public.push(Attribute::ModulusBits(2_048.into()));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            Mechanism::RsaPkcsKeyPairGen
        }
    };
    Ok(session.generate_key_pair(&mechanism, &public, &private)?.1)
}

/// First argument of this process when it is the anchor.
pub(crate) const COMMAND: &str = "anchor";
/// Head of a DER `DigestInfo` (RFC 8017, section 9.2, note 1).
const SHA256_DIGEST_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
