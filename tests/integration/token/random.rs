//! 10,000 requests while the module fails by chance, numbers of handles and sessions come back as others', and another
//! program destroys and makes keys under the same ids.

use super::shim::Shim;
use crate::support::{Rig, python, sources};
use keyward::{
    base::{
        algorithm::{KeyAlgorithm, SignatureAlgorithm},
        custody::{KeyPolicy, Purpose},
        fault::Fault as _,
        ids::KeyId,
    },
    pki::public_key::PublicKey,
    token::{
        Token, TokenError,
        message::{NewKey, SignJob},
    },
};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::{JoinSet, yield_now};

const SCHEME: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;
const CALLERS: u64 = 20;
const REQUESTS_OF_CALLER: u64 = 500;
const STABLE_KEYS: usize = 6;
const MOVING_KEYS: u8 = 3;

/// What can be asked, and of what a request may come back with.
struct Site {
    token: Token,
    stable: Vec<(KeyId, PublicKey)>,
    /// Keys that another program replaces: each with its first and its second public key.
    moving: Vec<(KeyId, [PublicKey; 2])>,
}

/// Whatever the test's environment says, or another one each time.
#[expect(clippy::disallowed_methods, reason = "the test's own setting")]
fn seed() -> u64 {
    let given = std::env::var("KEYWARD_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| u64::from(u32::from_le_bytes(KeyId::new().as_bytes()[12..].try_into().unwrap())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_under_random_faults_use_no_wrong_key_and_leave_a_service_that_is_well() {
    let seed = seed();
    writeln!(std::io::stderr(), "KEYWARD_TEST_SEED={seed}").unwrap();
    let rig = Rig::new();
    let shim = Shim::new(&rig, "random");
    let (moving, churn) = Churn::start(&rig, &shim);
    let token = shim.token(None);
    let mut stable = Vec::new();
    for _ in 0..STABLE_KEYS {
        let key = token.generate(new_key()).await.unwrap();
        stable.push((key.id, PublicKey::from_der(&key.public_key_der).unwrap()));
    }
    let site = Arc::new(Site { token, stable, moving });
    let before = site.token.figures().met.workers;
    shim.set(&faults(seed));

    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let site = Arc::clone(&site);
        callers.spawn(async move { site.call(seed ^ (caller << 32)).await });
    }
    let mut ends = BTreeMap::new();
    for tally in callers.join_all().await {
        for (end, count) in tally {
            *ends.entry(end).or_insert(0_u64) += count;
        }
    }
    let happened = shim.log().len();
    let replaced = churn.end();
    shim.set("");
    let workers = site.token.figures().met.workers - before;
    let told = format!("seed {seed}: {ends:?}; {happened} faults, {workers} further workers, {replaced} replacements");
    // After many failed starts in a row there is a pause of half a minute.
    let began = Instant::now();
    while let Err(error) = site.token.keys().await {
        assert!(began.elapsed() < Duration::from_secs(40), "{told}: {error}");
        yield_now().await;
    }
    let stable = site.stable.iter().map(|(id, public_key)| (id, public_key));
    for (id, public_key) in stable.chain(site.moving.iter().map(|(id, [first, _])| (id, first))) {
        let signed = site.sign(*id, public_key, [1; 32]).await;
        assert!(signed.is_ok(), "{told}: a good request after the faults: {signed:?}");
    }

    assert_eq!(ends.values().sum::<u64>(), CALLERS * REQUESTS_OF_CALLER, "{told}");
    assert!(ends["signed by a stable key"] > 7_000, "{told}");
    assert!(ends["signed by a moving key"] > 10, "{told}");
    assert!(happened > 100 && workers > 1 && replaced > 50, "{told}");
    site.token.close().await;
}

/// Each fault by a sequence of its own.
fn faults(seed: u64) -> String {
    let faults = [
        "* random=4000 rv=CKR_DEVICE_ERROR",
        "C_SignInit random=200 reset",
        "C_SignInit random=300 rv=CKR_OBJECT_HANDLE_INVALID",
        "C_SignInit random=500 rv=CKR_GENERAL_ERROR",
        "C_Sign random=200 rv=CKR_SESSION_HANDLE_INVALID",
        "C_Sign random=300 after=CKR_FUNCTION_FAILED",
        "C_Sign random=400 delay=3",
        "C_FindObjects random=200 reset",
        "C_GetAttributeValue random=1500 reset",
        "C_GenerateKeyPair random=10 reset",
        "C_DestroyObject random=20 after=CKR_DEVICE_ERROR",
        "C_Sign skip=2000 times=1 segv",
        "C_SignInit skip=4000 times=1 abort",
    ];
    let lines = faults.iter().zip(1..).map(|(fault, number)| format!("{fault} seed={}\n", seed ^ (number << 16)));
    lines.collect()
}

impl Site {
    /// A caller's requests; how they ended.
    async fn call(&self, seed: u64) -> BTreeMap<String, u64> {
        let mut chance = Chance(seed | 1);
        let mut ends = BTreeMap::new();
        for _ in 0..REQUESTS_OF_CALLER {
            let end = self.ask(&mut chance).await;
            *ends.entry(end).or_insert(0) += 1;
        }
        ends
    }

    async fn ask(&self, chance: &mut Chance) -> String {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&chance.next().to_be_bytes());
        let (what, done) = match chance.below(200) {
            0 => ("list", self.token.keys().await.map(|_| ())),
            1 => ("make and destroy", self.make_and_destroy().await),
            2..20 => {
                let (id, public_keys) = &self.moving[chance.below(self.moving.len())];
                let public_key = &public_keys[chance.below(2)];
                ("signed by a moving key", self.sign(*id, public_key, digest).await)
            }
            _ => {
                let (id, public_key) = &self.stable[chance.below(self.stable.len())];
                ("signed by a stable key", self.sign(*id, public_key, digest).await)
            }
        };
        match done {
            Ok(()) => what.to_owned(),
            Err(error) => format!("{what}: {}", error.entry().code),
        }
    }

    /// A signature that comes out is right, or the test fails.
    async fn sign(&self, key: KeyId, public_key: &PublicKey, digest: [u8; 32]) -> Result<(), TokenError> {
        let public_key_sha256 = public_key.sha256();
        let job = SignJob { key, public_key_sha256, algorithm: SCHEME, inputs: vec![digest.to_vec()] };
        let signatures = self.token.sign("", job).await?;
        let verified = public_key.verify_prehash(SCHEME, &digest, &signatures[0]);
        assert!(verified.is_ok(), "signed for key {key} by {:?}", self.signer_of(&digest, &signatures[0]));
        Ok(())
    }

    /// The key that made a signature, if it is one of those here.
    fn signer_of(&self, digest: &[u8], signature: &[u8]) -> Option<KeyId> {
        let moving = self.moving.iter().flat_map(|(id, both)| both.iter().map(move |public_key| (id, public_key)));
        let mut all = self.stable.iter().map(|(id, public_key)| (id, public_key)).chain(moving);
        all.find(|(_, public_key)| public_key.verify_prehash(SCHEME, digest, signature).is_ok()).map(|(id, _)| *id)
    }

    async fn make_and_destroy(&self) -> Result<(), TokenError> {
        let key = self.token.generate(new_key()).await?;
        let public_key = PublicKey::from_der(&key.public_key_der).unwrap();
        let signed = self.sign(key.id, &public_key, [2; 32]).await;
        self.token.destroy(key.id).await?;
        signed
    }
}

/// The other program.
struct Churn {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Churn {
    /// Starts it on the token of the shim, and waits until its keys are there.
    fn start(rig: &Rig, shim: &Shim) -> (Vec<(KeyId, [PublicKey; 2])>, Self) {
        let keys: Vec<_> =
            (1..=MOVING_KEYS).map(|number| (KeyId::new(), [pair(2 * number), pair(2 * number + 1)])).collect();
        let listed: Vec<_> = keys
            .iter()
            .map(|(id, pairs)| {
                let pairs =
                    pairs.each_ref().map(|(scalar, point)| serde_json::json!({"scalar": scalar, "point": point}));
                serde_json::json!({"id": id.to_string().replace('-', ""), "pairs": pairs})
            })
            .collect();
        let file = rig.write("moving.json", serde_json::to_vec(&listed).unwrap());
        let mut command = Command::new(python());
        command.arg(sources("token/churn.py")).args([rig.pin(), file]).env("SOFTHSM2_CONF", &shim.softhsm_conf);
        command.env("PYTHONPATH", sources("support")).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let public = |(_, point): &(String, String)| {
            let point = (0..point.len()).step_by(2).map(|at| u8::from_str_radix(&point[at..at + 2], 16).unwrap());
            PublicKey::from_ec_point(KeyAlgorithm::P256, &point.collect::<Vec<_>>()).unwrap()
        };
        let moving = keys.iter().map(|(id, pairs)| (*id, pairs.each_ref().map(public))).collect();
        (moving, Self { process, said })
    }

    /// Lets it put its first pairs back and end; how often it has replaced a pair.
    fn end(mut self) -> u64 {
        drop(self.process.stdin.take());
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        assert!(self.process.wait().unwrap().success());
        said.trim().parse().unwrap()
    }
}

/// A P-256 pair in hex: scalar, and point as an OCTET STRING.
fn pair(number: u8) -> (String, String) {
    let scalar = [number; 32];
    let point = p256::SecretKey::from_slice(&scalar).unwrap().public_key().to_sec1_bytes();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    (hex(&scalar), hex(&[&[0x04, 0x41], &*point].concat()))
}

/// Numbers that look like chance (xorshift64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % limit as u64).unwrap()
    }
}

fn new_key() -> NewKey {
    NewKey {
        id: KeyId::new(),
        label: "random".to_owned().try_into().unwrap(),
        algorithm: KeyAlgorithm::P256,
        policy: KeyPolicy::TokenOnly,
        purpose: Purpose::Signing,
        trusted_kek: false,
    }
}
