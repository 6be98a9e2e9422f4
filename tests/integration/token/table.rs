//! The fault table: what a call that goes wrong costs, row by row of `table.tsv`.
//!
//! Each row has a worker of its own before the fault, and after it a good request that another one answers if need be:
//! the service is never started again.

use super::shim::Shim;
use crate::support::Rig;
use keyward::{
    base::{
        algorithm::{KeyAlgorithm, SignatureAlgorithm},
        custody::{KekPurpose, KeyPolicy, Purpose},
        fault::Fault as _,
        ids::{KekId, KeyId},
        secret::Secret,
    },
    pki::public_key::PublicKey,
    token::{
        Standing, Token, TokenError, WrappedKey,
        api::Capabilities,
        message::{KekSource, KekValue, NewKey, PlainSecret, SignJob},
    },
};
use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time,
};

const TABLE: &str = include_str!("table.tsv");
const SCHEME: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;

/// Longer than any request may take, and than a worker may take to start.
const LONGEST_REQUEST: Duration = Duration::from_secs(121);

/// One line of the table.
#[derive(Debug)]
struct Row {
    line: usize,
    function: String,
    fault: String,
    request: String,
    class: String,
    code: String,
    said: String,
}

/// What the requests of the table work on.
struct Site {
    rig: Rig,
    id: KeyId,
    public_key: PublicKey,
    capabilities: Capabilities,
    kek: KekId,
    wrapped: Vec<u8>,
    inventory_kek: KekId,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_table_costs_what_the_table_says_and_the_next_request_is_served() {
    let site = Arc::new(Site::new().await);
    let called = Arc::new(Mutex::new(BTreeSet::new()));
    let at_once = Arc::new(Semaphore::new(4));
    let mut rows = JoinSet::new();

    for row in table().into_iter().filter(|row| row.class != "late") {
        let (site, called, at_once) = (Arc::clone(&site), Arc::clone(&called), Arc::clone(&at_once));
        rows.spawn(async move {
            let _turn = at_once.acquire().await.unwrap();
            let (broken, functions) = site.run(&row).await;
            called.lock().unwrap().extend(functions);
            broken.map(|broken| {
                format!("line {}: {} {} during {}: {broken}", row.line, row.function, row.fault, row.request)
            })
        });
    }
    let mut broken: Vec<String> = rows.join_all().await.into_iter().flatten().collect();

    broken.sort();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let in_table: BTreeSet<String> = table().into_iter().map(|row| row.function).collect();
    let without: Vec<_> = called.lock().unwrap().difference(&in_table).cloned().collect();
    assert_eq!(without, [""; 0], "functions that are called and have no row");
}

/// On one thread, and in turn, since the test sets the clock forward. What it costs beyond the deadline passes in real
/// time.
#[tokio::test]
async fn a_call_that_hangs_costs_its_caller_the_deadline_and_the_next_one_a_new_worker() {
    let site = Arc::new(Site::new().await);

    for row in table().into_iter().filter(|row| row.class == "late") {
        let shim = Shim::new(&site.rig, &format!("row-{}", row.line));
        let token = shim.token(Some(site.capabilities.clone()));
        let prepared = site.prepare(&token, &row.request).await;
        let fault = format!("{} {}", row.function, row.fault);
        shim.set(&fault);

        let asked = tokio::spawn({
            let (site, token, request) = (Arc::clone(&site), token.clone(), row.request.clone());
            async move { site.ask(&token, &request, prepared).await }
        });
        while shim.happened(&fault) == 0 {
            yield_now().await;
        }
        let hanging = shim.worker();
        set_forward(LONGEST_REQUEST).await;
        let refused = asked.await.unwrap().unwrap_err();
        // A worker that never served is gone when its end has been looked into: whether the token counts a wrong PIN.
        while row.request == "start" && !matches!(token.standing(), Standing::Failing(_)) {
            yield_now().await;
        }
        site.sign(&token, 1).await.unwrap();

        assert_eq!(row.misses(&refused), None, "{row:?}");
        assert_ne!(shim.worker(), hanging, "{row:?}");
        token.close().await;
    }
}

/// Time passes for whoever waits for it, and for nobody else.
pub(super) async fn set_forward(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

/// All rows.
fn table() -> Vec<Row> {
    let lines = TABLE.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| Row::read(number + 1, line)).collect()
}

impl Row {
    fn read(line: usize, text: &str) -> Self {
        let fields: Vec<&str> = text.split('\t').collect();
        let [function, fault, request, class, code, said] = fields[..] else { panic!("line {line} has no six fields") };
        let [function, fault, request, class, code, said] =
            [function, fault, request, class, code, said].map(str::to_owned);
        Self { line, function, fault, request, class, code, said }
    }

    /// What is wrong with an error's code or text.
    fn misses(&self, error: &TokenError) -> Option<String> {
        let (code, text) = (error.entry().code, error.to_string());
        // Which token it is: by its label, or by what else there is one of.
        let mut names = ["token `keyward`", "libfault.so", "the backup-only KEK"].into_iter();
        let complete = self.said.split("; ").all(|words| text.contains(words)) && names.any(|name| text.contains(name));
        (code != self.code || !complete).then(|| format!("`{code}`: {text}"))
    }
}

impl Site {
    async fn new() -> Self {
        let rig = Rig::new();
        rig.key("web", "p256", "backup-only");
        let (id, public_key) = rig.id_and_public_key("web");
        let token = Token::new(rig.token_settings(2), None);
        let keks = token.keks().await.unwrap();
        let kek = |purpose: &str| keks.iter().find(|kek| kek.label.contains(purpose)).unwrap().id;
        let (backup, inventory_kek) = (kek("backup-only"), kek("inventory"));
        let wrapped = token.wrap(id, public_key.sha256(), backup, KekPurpose::BackupOnly).await.unwrap();
        let capabilities = token.capabilities().await.unwrap();
        token.close().await;
        Self { rig, id, public_key, capabilities, kek: backup, wrapped, inventory_kek }
    }

    /// Runs a row; what is wrong with it, and the functions that were called.
    async fn run(&self, row: &Row) -> (Option<String>, Vec<String>) {
        let shim = Shim::new(&self.rig, &format!("row-{}", row.line));
        let token = shim.token(Some(self.capabilities.clone()));
        let prepared = self.prepare(&token, &row.request).await;
        let before = shim.worker();
        let fault = format!("{} {}", row.function, row.fault);
        shim.set(&format!("* log\n{fault}"));

        let answer = self.ask(&token, &row.request, prepared).await;
        let during = shim.worker();
        // An import logs in by itself, in a worker of its own.
        let logins = if row.request == "import" { 0 } else { shim.happened("C_Login") };
        let happened = shim.happened(&fault);
        let functions = shim.log().into_iter().filter(|line| !line.contains(' ')).collect();
        let sent_again = self.is_pin_sent_again(&shim, &token).await;
        shim.set("");
        let next = self.sign(&token, 1).await;
        let after = shim.worker();
        token.close().await;

        let renewed = after != before && before.is_some();
        let class = match (&answer, renewed, logins) {
            (Ok(()), false, 0) => "retry",
            (Ok(()), false, _) if before.is_some() => "rebuild",
            (Ok(()), false, _) => "served",
            (Ok(()), true, _) if during == after => "respawn",
            (Ok(()), true, _) => "served",
            (Err(_), false, 0) => "fail",
            (Err(_), false, _) if before.is_some() => "fail-rebuild",
            (Err(_), false, _) => "fail",
            (Err(_), true, _) => "fail-respawn",
        };
        let broken = if happened == 0 {
            Some("the fault did not happen".to_owned())
        } else if sent_again {
            Some("a PIN that was refused was sent again".to_owned())
        } else if let Err(error) = next {
            Some(format!("the next request was not served: {error}"))
        } else if class != row.class {
            Some(format!("it is `{class}`: {answer:?}"))
        } else if let Err(error) = &answer {
            row.misses(error)
        } else {
            None
        };
        (broken, functions)
    }

    /// Whether a user PIN that was refused is sent by another request; then somebody gives the right one.
    async fn is_pin_sent_again(&self, shim: &Shim, token: &Token) -> bool {
        let refused = shim.settings.state_directory.join("pin-refused");
        if !refused.exists() {
            return false;
        }
        shim.set("C_Login log");
        let again = self.sign(token, 1).await.unwrap_err();
        fs::remove_file(refused).unwrap();
        shim.happened("C_Login") > 0 || again.entry().code != "pin-refused"
    }

    /// What a request needs that is not under the fault, a worker above all.
    async fn prepare(&self, token: &Token, request: &str) -> Option<KeyId> {
        match request {
            "start" => return None,
            "destroy" => return Some(token.generate(new_key()).await.unwrap().id),
            _ => self.sign(token, 1).await.unwrap(),
        }
        None
    }

    async fn ask(&self, token: &Token, request: &str, prepared: Option<KeyId>) -> Result<(), TokenError> {
        match request {
            "batch" => self.sign(token, 3).await,
            "destroy" => token.destroy(prepared.unwrap()).await.map(|_| ()),
            "generate" => token.generate(new_key()).await.map(|_| ()),
            "import" => token.import_keks(vec![kek_of_zeros()]).await.map(|_| ()),
            "list" => token.keys().await.map(|_| ()),
            "probe" => token.probe().await.map(|_| ()),
            "prove" => token.prove(self.wrapped_key()).await,
            "seal" => token.seal_content_key(self.inventory_kek, Secret::new(vec![7; 32])).await.map(|_| ()),
            "sign" | "start" => self.sign(token, 1).await,
            "unwrap" => token.unwrap_key(self.wrapped_key()).await.map(|_| ()),
            "wrap" => {
                let (id, sha256) = (self.id, self.public_key.sha256());
                token.wrap(id, sha256, self.kek, KekPurpose::BackupOnly).await.map(|_| ())
            }
            other => panic!("no request `{other}`"),
        }
    }

    async fn sign(&self, token: &Token, count: usize) -> Result<(), TokenError> {
        let inputs = vec![vec![7; 32]; count];
        let job = SignJob { key: self.id, public_key_sha256: self.public_key.sha256(), algorithm: SCHEME, inputs };
        let signatures = token.sign("", job).await?;
        assert_eq!(signatures.len(), count);
        for signature in signatures {
            self.public_key.verify_prehash(SCHEME, &[7; 32], &signature).unwrap();
        }
        Ok(())
    }

    fn wrapped_key(&self) -> WrappedKey {
        WrappedKey {
            wrapped: self.wrapped.clone(),
            kek: KekSource::Token(self.kek, KekPurpose::BackupOnly),
            key: NewKey { policy: KeyPolicy::BackupOnly, trusted_kek: true, ..new_key() },
            public_key_der: self.public_key.der().to_vec(),
        }
    }
}

fn new_key() -> NewKey {
    NewKey {
        id: KeyId::new(),
        label: "new".to_owned().try_into().unwrap(),
        algorithm: KeyAlgorithm::P256,
        policy: KeyPolicy::TokenOnly,
        purpose: Purpose::Tls,
        trusted_kek: false,
    }
}

/// AES-256 of a zero block under a key of zeros begins with DC95C0.
fn kek_of_zeros() -> KekValue {
    let value = PlainSecret(Secret::new(vec![0; 32]));
    KekValue { id: KekId::new(), purpose: KekPurpose::BackupOnly, kcv: "DC95C0".to_owned(), value }
}
