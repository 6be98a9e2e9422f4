//! Credentials on a real database, by a clock that is set by hand.

use super::{
    Access, AccessError, Draft, Shown, api::AddCredentialAnswer, api::AddCredentialRequest, api::CredentialState, db,
    known::Known,
};
use crate::audit::{Audit, Log, Outcome, Record, Writer, api::RecordFilter};
use crate::base::{
    ids::{InstanceId, KeyId, RequestId, hex},
    principal::{Caller, Identity, KeyScope, Principal, PrincipalKind, Role},
    time::{Clock, Timestamp},
};
use crate::db::Database;
use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tempfile::TempDir;

struct Bench {
    access: Access,
    clock: Arc<SetClock>,
    db: Database,
    audit: Audit,
    directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with_rate(NonZeroU32::MAX).await
    }

    async fn with_rate(per_second: NonZeroU32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock(AtomicI64::new(NOW)));
        let db = Database::open(&directory.path().join("keyward.db")).await.unwrap();
        let writer = Writer { instance: InstanceId::from_bytes([7; 16]), suffix: String::new() };
        let audit = Audit::open(db.clone(), directory.path().join("audit"), writer, clock.clone()).await.unwrap();
        let access = Access::open((db.clone(), audit.clone()), clock.clone(), 1000, per_second).await.unwrap();
        Self { access, clock, db, audit, directory }
    }

    async fn reopened(&self) -> Access {
        let stores = (self.db.clone(), self.audit.clone());
        Access::open(stores, self.clock.clone(), 1000, NonZeroU32::MAX).await.unwrap()
    }

    fn draft(&self, name: &str, roles: &[Role], keys: KeyScope) -> Result<Draft, AccessError> {
        self.access.draft(&caller(Role::Admin), &asked(name, roles), keys)
    }

    async fn add(&self, name: &str) -> AddCredentialAnswer {
        let draft = self.draft(name, &[Role::Signer], KeyScope::Every).unwrap();
        self.access.add_token(&caller(Role::Admin), draft).await.unwrap()
    }

    fn shows(&self, answer: &AddCredentialAnswer) -> Result<Arc<Identity>, AccessError> {
        self.access.identify(Shown::ApiToken(answer.token.as_ref().unwrap()))
    }

    async fn records(&self) -> Vec<Record> {
        self.audit.list(RecordFilter { log: Log::Management, ..RecordFilter::default() }).await.unwrap().items
    }
}

/// Milliseconds since 1970.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

fn caller(role: Role) -> Caller {
    let principal = Principal { id: "u-1".to_owned(), kind: PrincipalKind::Person, name: "Zoë".to_owned() };
    Caller::new(Arc::new(Identity::new(principal, vec![role])), RequestId::new())
}

fn asked(name: &str, roles: &[Role]) -> AddCredentialRequest {
    AddCredentialRequest { name: name.to_owned(), roles: roles.to_vec(), keys: None, days: None, csr: None }
}

fn only(keys: &[KeyId]) -> KeyScope {
    KeyScope::Only(keys.iter().copied().collect::<BTreeSet<_>>())
}

#[tokio::test]
async fn only_the_uid_that_ran_init_is_the_owner() {
    let Bench { access, .. } = Bench::new().await;

    assert_eq!(access.identify(Shown::LocalUser(1000)).unwrap().principal.name, "owner");
    assert!(matches!(access.identify(Shown::LocalUser(0)), Err(AccessError::UserUnknown { uid: 0 })));
}

#[tokio::test]
async fn a_token_is_its_holder_with_roles_and_keys() {
    let bench = Bench::new().await;
    let key = KeyId::new();
    let draft = bench.draft("ci", &[Role::Signer], only(&[key])).unwrap();

    let answer = bench.access.add_token(&caller(Role::Admin), draft).await.unwrap();

    let identity = bench.shows(&answer).unwrap();
    let id = answer.credential.id;
    let principal = Principal { id: format!("credential:{id}"), kind: PrincipalKind::Service, name: "ci".to_owned() };
    assert_eq!(*identity, Identity { principal, roles: vec![Role::Signer], keys: only(&[key]) });
    assert_eq!(answer.credential.expires_at, Timestamp::from_millis(NOW + 90 * DAY));
}

#[tokio::test]
async fn the_database_and_the_log_have_the_hash_of_a_token_at_most() {
    let bench = Bench::new().await;

    let answer = bench.add("ci").await;

    let token = answer.token.as_ref().unwrap().as_bytes();
    bench.db.close().await;
    for entry in std::fs::read_dir(bench.directory.path()).unwrap().map(Result::unwrap) {
        let bytes = if entry.path().is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
        // Not even a part of it.
        assert!(!token[4..].windows(12).any(|part| bytes.windows(12).any(|window| window == part)), "{entry:?}");
    }
}

#[tokio::test]
async fn a_token_that_was_changed_and_one_that_nobody_has_are_told_apart_but_have_one_code() {
    let bench = Bench::new().await;
    let text = bench.add("ci").await.token.unwrap();
    let changed = if text.ends_with('A') { format!("{}B", &text[..51]) } else { format!("{}A", &text[..51]) };
    let other = super::ApiToken::generate().unwrap().text();

    for garbled in [changed.as_str(), "", "kwt_", "Zm9v", &text[..51]] {
        let refused = bench.access.identify(Shown::ApiToken(garbled));
        assert!(matches!(refused, Err(AccessError::CredentialMalformed)), "{garbled}");
    }
    assert!(matches!(bench.access.identify(Shown::ApiToken(&other)), Err(AccessError::CredentialUnknown)));
    assert!(matches!(bench.access.identify(Shown::Certificate([7; 32])), Err(AccessError::CredentialUnknown)));
}

#[tokio::test]
async fn a_credential_is_good_until_the_millisecond_it_expires() {
    let bench = Bench::new().await;
    let answer = bench.add("ci").await;

    bench.clock.0.store(NOW + 90 * DAY - 1, Ordering::Relaxed);
    assert!(bench.shows(&answer).is_ok());
    bench.clock.0.store(NOW + 90 * DAY, Ordering::Relaxed);
    let expired = bench.shows(&answer).unwrap_err();

    assert_eq!(expired.to_string(), "the credential ci expired at 2026-04-02T03:04:05.006Z");
    assert_eq!(expired.principal().unwrap().name, "ci");
    assert_eq!(bench.access.find("ci").unwrap().state, CredentialState::Expired);
}

#[tokio::test]
async fn a_revoked_credential_is_refused_at_once_and_after_a_start() {
    let bench = Bench::new().await;
    let (answer, other) = (bench.add("ci").await, bench.add("cd").await);

    let revoked = bench.access.revoke(&caller(Role::Admin), "ci").await.unwrap();

    assert_eq!(revoked.state, CredentialState::Revoked);
    assert!(matches!(bench.shows(&answer), Err(AccessError::CredentialRevoked { .. })));
    assert!(bench.shows(&other).is_ok());
    let token = answer.token.as_ref().unwrap();
    let after = bench.reopened().await.identify(Shown::ApiToken(token));
    assert!(matches!(after, Err(AccessError::CredentialRevoked { .. })));
    let again = bench.access.revoke(&caller(Role::Admin), &revoked.id.to_string()).await.unwrap();
    assert_eq!(again, revoked);
}

#[tokio::test]
async fn memory_and_rows_say_the_same() {
    let bench = Bench::new().await;
    bench.add("ci").await;
    let draft = bench.draft("cd", &[Role::Signer], only(&[KeyId::new(), KeyId::new()])).unwrap();
    bench.access.add_token(&caller(Role::Admin), draft).await.unwrap();
    bench.access.revoke(&caller(Role::Admin), "ci").await.unwrap();

    let rows = Known::new(db::all(&bench.db).await.unwrap(), NonZeroU32::MAX).all();

    assert_eq!(rows.len(), 2);
    assert_eq!(rows, bench.access.0.known.all());
    assert_eq!(bench.reopened().await.list(), bench.access.list());
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_does_not_happen() {
    let bench = Bench::new().await;
    let answer = bench.add("ci").await;
    let trigger = "CREATE TRIGGER stop BEFORE UPDATE ON credentials BEGIN SELECT RAISE(ABORT, 'full'); END";
    sqlx::query(trigger).execute(bench.db.reader()).await.unwrap();

    let refused = bench.access.revoke(&caller(Role::Admin), "ci").await;

    assert!(matches!(refused, Err(AccessError::Database(_))));
    assert!(bench.shows(&answer).is_ok());
    assert_eq!(bench.audit.open_intents().await.unwrap(), []);
    let last = bench.records().await.remove(0);
    assert_eq!((last.event.as_str(), last.outcome), ("credential.revoke", Some(Outcome::Failed)));
}

#[tokio::test]
async fn adding_and_revoking_are_recorded_before_and_after() {
    let bench = Bench::new().await;
    let answer = bench.add("ci").await;
    bench.access.revoke(&caller(Role::Admin), "ci").await.unwrap();

    let mut records = bench.records().await;
    records.sort_by_key(|record| record.seq);

    let told: Vec<_> = records.iter().map(|record| (record.event.as_str(), record.phase.as_str())).collect();
    let (add, revoke) = ("credential.add", "credential.revoke");
    assert_eq!(told, [(add, "intent"), (add, "result"), (revoke, "intent"), (revoke, "result")]);
    assert!(records.iter().all(|record| record.object.id == answer.credential.id.to_string()));
    assert_eq!(records[0].detail["roles"], serde_json::json!(["signer"]));
    let hash = hex(&bench.access.0.known.all()[0].sha256);
    assert!(records.iter().all(|record| !record.to_line().unwrap().contains(&hash)));
}

#[tokio::test]
async fn a_name_is_free_again_when_its_credential_is_no_longer_good() {
    let bench = Bench::new().await;
    let first = bench.add("ci").await.credential;

    let taken = bench.draft("ci", &[Role::Signer], KeyScope::Every);
    bench.access.revoke(&caller(Role::Admin), "ci").await.unwrap();
    let second = bench.add("ci").await.credential;
    bench.clock.0.store(NOW + 90 * DAY, Ordering::Relaxed);
    let third = bench.add("ci").await.credential;

    assert!(matches!(taken, Err(AccessError::NameTaken { .. })));
    assert_eq!(bench.access.find("ci").unwrap(), third);
    assert_eq!(bench.access.find(&first.id.to_string()).unwrap().state, CredentialState::Revoked);
    assert_eq!(bench.access.find(&second.id.to_string()).unwrap().state, CredentialState::Expired);
}

#[tokio::test]
async fn of_two_drafts_with_one_name_one_becomes_a_credential() {
    let bench = Bench::new().await;
    let draft = || bench.draft("ci", &[Role::Signer], KeyScope::Every).unwrap();
    let (one, other) = (draft(), draft());

    let admin = caller(Role::Admin);
    let (one, other) = tokio::join!(bench.access.add_token(&admin, one), bench.access.add_token(&admin, other));

    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
    assert_eq!(bench.access.list().len(), 1);
}

#[tokio::test]
async fn a_credential_that_should_not_be_is_refused() {
    let bench = Bench::new().await;
    let (admin, every) = (caller(Role::Admin), || KeyScope::Every);
    let code = |refused: Result<Draft, AccessError>| {
        use crate::base::fault::Fault as _;
        refused.unwrap_err().entry().code
    };

    for role in Role::ALL.iter().filter(|role| **role != Role::Admin) {
        let refused = bench.access.draft(&caller(*role), &asked("ci", &[Role::Signer]), every());
        assert_eq!(code(refused), "role-missing", "{role}");
        let refused = bench.access.revoke(&caller(*role), "ci").await;
        assert!(matches!(refused, Err(AccessError::RoleMissing { .. })), "{role}");
    }
    for days in [0, 3_651] {
        let request = AddCredentialRequest { days: Some(days), ..asked("ci", &[Role::Signer]) };
        assert_eq!(code(bench.access.draft(&admin, &request, every())), "credential-lifetime", "{days}");
    }
    for name in ["", "-x", "a b", "0190b2a1-0000-7000-8000-000000000001", "keyward-x", "a,O=b"] {
        assert_eq!(code(bench.draft(name, &[Role::Signer], every())), "credential-name-malformed", "{name}");
    }
    assert_eq!(code(bench.draft("ci", &[], every())), "credential-roles-empty");
    assert_eq!(code(bench.draft("ci", &[Role::Admin, Role::RecoveryOfficer], every())), "role-reserved");
    let scope = only(&[KeyId::new()]);
    for roles in [&[Role::Operator][..], &[Role::Operator, Role::Signer]] {
        assert_eq!(code(bench.draft("ci", roles, scope.clone())), "credential-scope-unsuitable", "{roles:?}");
    }
    assert_eq!(bench.records().await, []);
}

#[tokio::test]
async fn who_asks_too_much_is_held_off_and_nobody_else_is() {
    let bench = Bench::with_rate(NonZeroU32::MIN).await;
    let (one, other) = (bench.add("ci").await, bench.add("cd").await);

    let refused = (0..100).find_map(|_| bench.shows(&one).err()).unwrap();

    assert!(matches!(refused, AccessError::RateExceeded { ref who, per_second: 1 } if who.name == "ci"), "{refused}");
    assert!(bench.shows(&other).is_ok());
    assert!(bench.access.identify(Shown::LocalUser(1000)).is_ok());
}

#[tokio::test]
async fn refusals_leave_one_record_for_each_source() {
    let bench = Bench::new().await;
    let ci = caller(Role::Signer).principal().clone();
    for _ in 0..1_000 {
        bench.access.count_refusal("192.0.2.1", None, "credential-unknown");
    }
    bench.access.count_refusal("192.0.2.1", None, "caller-unidentified");
    bench.access.count_refusal("192.0.2.2", Some(&ci), "credential-revoked");

    bench.access.record_refusals().await;
    bench.access.close().await;

    let mut records = bench.records().await;
    records.sort_by_key(|record| record.object.id.clone());
    let [one, other] = records.try_into().unwrap();
    assert_eq!(
        (one.event.as_str(), one.outcome, one.code.as_str()),
        ("access.refuse", Some(Outcome::Denied), "credential-unknown")
    );
    assert_eq!((one.object.id.as_str(), one.principal.kind), ("192.0.2.1", PrincipalKind::System));
    assert_eq!(one.detail["count"], 1_001);
    assert_eq!(one.detail["codes"], serde_json::json!({ "caller-unidentified": 1, "credential-unknown": 1_000 }));
    assert_eq!(one.detail["since"], "2026-01-02T03:04:05.006Z");
    assert_eq!((other.object.id.as_str(), other.principal), ("192.0.2.2", ci));
}

#[tokio::test]
async fn a_flood_from_many_addresses_fills_neither_memory_nor_log() {
    let bench = Bench::new().await;
    for number in 0..10_000_u32 {
        let source = std::net::Ipv4Addr::from(number).to_string();
        bench.access.count_refusal(&source, None, "credential-unknown");
    }

    bench.access.record_refusals().await;

    let filter = RecordFilter { limit: Some(1_000), object: Some("others".to_owned()), ..RecordFilter::default() };
    let others = bench.audit.list(filter).await.unwrap().items;
    assert_eq!(others[0].detail["count"], 10_000 - 256);
    let all = RecordFilter { limit: Some(1_000), ..RecordFilter::default() };
    assert_eq!(bench.audit.list(all).await.unwrap().items.len(), 257);
}

/// 2026-01-02T03:04:05.006Z.
const NOW: i64 = 1_767_323_045_006;
/// In milliseconds.
const DAY: i64 = 86_400_000;
