//! The API as a listener would use it, with callers of every role; the token is away.

mod bodies;
mod idempotency;
mod observe;

use crate::access::{Access, api::AddCredentialRequest};
use crate::audit::{Audit, Writer, api::RecordFilter};
use crate::backup::{Backups, destination::Directory};
use crate::base::{
    custody::Posture,
    ids::{BackupId, InstanceId, RequestId},
    principal::{Caller, Identity, KeyScope, Principal, PrincipalKind, Role},
    time::{Clock, SystemClock},
};
use crate::ceremony::recover::Recoveries;
use crate::commands::Commands;
use crate::db::Database;
use crate::http::{Health, Meters, Nouns, Peer, Services, router};
use crate::keys::{Keys, index::KeyIndex};
use crate::pki::tls_key;
use crate::token::{Token, TokenSettings, Tokens, address::TokenAddress, adoptions::Adoptions, pin::PinSource};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt as _, channel::Channel};
use std::{io, num::NonZeroU32, pin::pin, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::sync::{Mutex, RwLock};
use tower::ServiceExt as _;

struct Bench {
    services: Services,
    router: Router,
    _directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with_rate(NonZeroU32::MAX).await
    }

    async fn with_rate(per_second: NonZeroU32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (path, clock): (_, Arc<dyn Clock>) = (directory.path().to_owned(), Arc::new(SystemClock));
        let db = Database::open(&path.join("keyward.db")).await.unwrap();
        let instance = InstanceId::new();
        let writer = Writer { instance, suffix: String::new() };
        let audit = Audit::open(db.clone(), path.join("audit"), writer, clock.clone()).await.unwrap();
        let token = Token::new(
            TokenSettings {
                address: TokenAddress { device: path.join("no-module").into(), label: "t".to_owned() },
                sessions: 1,
                pin: PinSource::File(path.join("no-pin")),
                so_pin: None,
                attestation_roots: None,
                environment: Vec::new(),
                adopted: Adoptions::default(),
                keep_alive: None,
                state_directory: path.clone(),
                executable: path.join("no-keyward"),
            },
            None,
        );
        let commands = Commands::open(db.clone(), audit.clone(), clock.clone()).await.unwrap();
        let keys = Keys {
            db,
            index: KeyIndex::default(),
            audit,
            tokens: Tokens::new(token, []),
            clock,
            posture: Posture::Rig,
        };
        let backups = Backups {
            keys: keys.clone(),
            instance: Arc::new(RwLock::new(instance)),
            destination: Directory::new(path.join("backups")),
            directory: path,
            recoveries: Recoveries::default(),
            turn: Arc::new(Mutex::new(())),
        };
        let stores = (keys.db.clone(), keys.audit.clone());
        let access = Access::open(stores, keys.clock.clone(), 0, per_second).await.unwrap();
        let (health, meters) = (Health::default(), Meters::new());
        let problems = super::errors_page::entries;
        let services = Services::from(Nouns { access, backups, commands, health, keys, meters, problems });
        Self { router: router(services.clone()), services, _directory: directory }
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
        self.router.clone().oneshot(request(role, method, path, body.into())).await.unwrap()
    }

    /// A new API token.
    async fn token(&self, name: &str, roles: &[Role]) -> String {
        let request =
            AddCredentialRequest { name: name.to_owned(), roles: roles.to_vec(), keys: None, days: None, csr: None };
        let (access, admin) = (&self.services.access, caller(Role::Admin));
        let draft = access.draft(&admin, &request, KeyScope::Every).unwrap();
        access.add_token(&admin, draft).await.unwrap().token.unwrap().to_string()
    }

    /// What a remote client is answered to a list of keys, with this header `Authorization`.
    async fn answer(&self, authorization: Option<&str>) -> Response<Body> {
        let peer = Peer::Remote { address: ([192, 0, 2, 7], 50_000).into(), certificate: None };
        let mut request = Request::builder().uri("/api/v1/keys").extension(peer);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn shown(&self, authorization: Option<&str>) -> (u16, String) {
        problem(self.answer(authorization).await).await
    }

    /// Status and problem code; the code of an answer that is no problem is empty.
    async fn problem(&self, role: Role, method: &str, path: &str) -> (u16, String) {
        problem(self.ask(role, method, path, Body::empty()).await).await
    }
}

fn request(role: Role, method: &str, path: &str, body: Body) -> Request<Body> {
    let caller = caller(role);
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    request.extension(caller).body(body).unwrap()
}

fn caller(role: Role) -> Caller {
    let principal = Principal { id: "u-1".to_owned(), kind: PrincipalKind::Person, name: "Zoë".to_owned() };
    Caller::new(Identity::new(principal, vec![role]).into(), RequestId::new())
}

async fn problem(response: Response<Body>) -> (u16, String) {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let is_problem = parts.headers[header::CONTENT_TYPE] == "application/problem+json";
    let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = if is_problem { document["code"].as_str().unwrap() } else { "" };
    (parts.status.as_u16(), code.to_owned())
}

/// A body that never ends: who reads it waits for ever.
fn endless() -> (http_body_util::channel::Sender<Bytes, io::Error>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, Body::new(body))
}

async fn polled_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::ZERO, future).await.ok()
}

const ID: &str = "0190b2a1-0000-7000-8000-000000000001";

#[tokio::test]
async fn what_keyward_knows_is_read_by_admins_auditors_and_operators_only() {
    let bench = Bench::new().await;
    let command = format!("commands/{ID}");
    let lists = ["certificates", "exports", "backups", "keks", "coverage", "audit/records"];
    let details = ["certificates/00", "exports/1", "backups/1", "instance", "token"];

    for path in lists.iter().chain(&details).copied().chain([command.as_str(), "audit/export"]) {
        let path = format!("/api/v1/{path}");
        for role in [Role::Approver, Role::RecoveryOfficer, Role::Signer] {
            assert_eq!(bench.problem(role, "GET", &path).await, (403, "role-missing".to_owned()), "{role} {path}");
        }
    }
    for path in lists {
        for role in [Role::Admin, Role::Auditor, Role::Operator] {
            let answer = bench.problem(role, "GET", &format!("/api/v1/{path}")).await;
            assert_eq!(answer, (200, String::new()), "{role} {path}");
        }
    }
}

#[tokio::test]
async fn keys_are_also_read_by_signers_and_by_nobody_else() {
    let bench = Bench::new().await;

    for (path, found) in
        [("keys", (200, "")), ("keys/web", (404, "key-unknown")), ("keys/web/public", (404, "key-unknown"))]
    {
        let path = format!("/api/v1/{path}");
        for role in [Role::Approver, Role::RecoveryOfficer] {
            assert_eq!(bench.problem(role, "GET", &path).await, (403, "role-missing".to_owned()), "{role} {path}");
        }
        for role in [Role::Admin, Role::Auditor, Role::Operator, Role::Signer] {
            assert_eq!(bench.problem(role, "GET", &path).await, (found.0, found.1.to_owned()), "{role} {path}");
        }
    }
}

#[tokio::test]
async fn credentials_are_read_by_admins_and_auditors_and_given_and_taken_by_admins_only() {
    let bench = Bench::new().await;
    let path = "/api/v1/credentials";
    let add = r#"{"name":"ci","roles":["signer"]}"#;

    for role in [Role::Approver, Role::Auditor, Role::Operator, Role::RecoveryOfficer, Role::Signer] {
        let forbidden = (403, "role-missing".to_owned());
        assert_eq!(problem(bench.ask(role, "POST", path, add).await).await, forbidden, "{role}");
        assert_eq!(bench.problem(role, "DELETE", "/api/v1/credentials/ci").await, forbidden, "{role}");
        let read = if role == Role::Auditor { (200, String::new()) } else { forbidden };
        assert_eq!(bench.problem(role, "GET", path).await, read, "{role}");
    }
    let added = bench.ask(Role::Admin, "POST", path, add).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    assert_eq!(bench.problem(Role::Admin, "GET", "/api/v1/credentials/ci").await, (200, String::new()));
    assert_eq!(bench.problem(Role::Admin, "DELETE", "/api/v1/credentials/ci").await, (200, String::new()));
    let missing = (404, "credential-missing".to_owned());
    assert_eq!(bench.problem(Role::Admin, "DELETE", "/api/v1/credentials/cd").await, missing);
}

#[tokio::test]
async fn a_credential_for_a_key_that_is_not_there_is_not_made() {
    let bench = Bench::new().await;
    let add = r#"{"name":"ci","roles":["signer"],"keys":["web"]}"#;

    let refused = bench.ask(Role::Admin, "POST", "/api/v1/credentials", add).await;

    assert_eq!(problem(refused).await, (404, "key-unknown".to_owned()));
    assert_eq!(bench.services.access.list(), []);
}

#[tokio::test]
async fn whoever_shows_no_good_credential_gets_401_and_leaves_one_record_a_minute() {
    let bench = Bench::new().await;
    let good = bench.token("ci", &[Role::Operator]).await;
    let revoked = bench.token("cd", &[Role::Operator]).await;
    let admin = caller(Role::Admin);
    bench.services.access.revoke(&admin, "cd").await.unwrap();

    assert_eq!(bench.shown(Some(&format!("Bearer {good}"))).await, (200, String::new()));
    assert_eq!(bench.shown(Some(&format!("bearer {good}"))).await, (200, String::new()));
    assert_eq!(bench.shown(Some(&format!("Bearer   {good}"))).await, (200, String::new()));
    for (header, code) in [
        (None, "caller-unidentified"),
        (Some(format!("Bearer {revoked}")), "credential-revoked"),
        (Some(format!("Bearer {good}x")), "credential-unknown"),
        (Some(format!("Basic {good}")), "credential-unknown"),
        (Some(String::new()), "credential-unknown"),
    ] {
        assert_eq!(bench.shown(header.as_deref()).await, (401, code.to_owned()), "{header:?}");
    }

    bench.services.access.close().await;
    let filter = RecordFilter { event: Some("access.refuse".to_owned()), ..RecordFilter::default() };
    let records = bench.services.keys.audit.list(filter).await.unwrap().items;
    let mut told: Vec<_> = records
        .iter()
        .map(|record| (record.principal.name.as_str(), record.object.id.as_str(), record.detail["count"].as_u64()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("cd", "192.0.2.7", Some(1)), ("keyward", "192.0.2.7", Some(4))]);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_with_what_a_browser_would_show() {
    let bench = Bench::new().await;
    let token = bench.token("ci", &[Role::Operator]).await;
    let ask = async |method: &str, site: &str| {
        let peer = Peer::Remote { address: ([192, 0, 2, 7], 50_000).into(), certificate: None };
        let request = Request::builder().method(method).uri("/api/v1/keks").extension(peer);
        let request = request.header("authorization", format!("Bearer {token}")).header("sec-fetch-site", site);
        problem(bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    };
    let cross_site = (403, "request-cross-site".to_owned());

    assert_eq!(ask("POST", "cross-site").await, cross_site);
    assert_eq!(ask("DELETE", "same-site").await, cross_site);
    // No such method: let through as far as the routes.
    assert_eq!(ask("POST", "same-origin").await, (405, "method-unknown".to_owned()));
    assert_eq!(ask("POST", "none").await, (405, "method-unknown".to_owned()));
}

#[tokio::test]
async fn an_empty_list_of_keys_makes_no_credential_for_every_key() {
    let bench = Bench::new().await;
    let body = r#"{"name":"ci","roles":["signer"],"keys":[]}"#;

    let answer = bench.ask(Role::Admin, "POST", "/api/v1/credentials", body).await;

    assert_eq!(problem(answer).await, (422, "credential-scope-empty".to_owned()));
    assert!(bench.services.access.list().is_empty());
}

#[tokio::test]
async fn of_two_tokens_in_one_request_none_counts() {
    let bench = Bench::new().await;
    let tokens = [bench.token("ci", &[Role::Operator]).await, bench.token("cd", &[Role::Admin]).await];
    let peer = Peer::Remote { address: ([192, 0, 2, 7], 50_000).into(), certificate: None };
    let request = Request::builder().uri("/api/v1/keys").extension(peer);

    let both = tokens.iter().fold(request, |request, token| request.header("authorization", format!("Bearer {token}")));
    let answer = bench.router.clone().oneshot(both.body(Body::empty()).unwrap()).await.unwrap();

    assert_eq!(problem(answer).await, (401, "credential-unknown".to_owned()));
}

#[tokio::test]
async fn a_change_goes_on_when_its_client_leaves() {
    let bench = Bench::new().await;
    let (sender, body) = endless();
    let mut asked = Box::pin(bench.ask(Role::Operator, "POST", "/api/v1/restores", body));
    assert!(polled_once(&mut asked).await.is_none());

    drop(asked);
    drop(sender);
    let recorded = async {
        let filter = || RecordFilter { event: Some("backup.restore".to_owned()), ..RecordFilter::default() };
        while bench.services.keys.audit.list(filter()).await.unwrap().items.is_empty() {}
    };

    assert!(tokio::time::timeout(Duration::from_secs(10), recorded).await.is_ok());
}

#[tokio::test]
async fn a_signature_that_is_refused_is_recorded_and_one_for_which_no_token_is_there_is_not() {
    let bench = Bench::new().await;
    let (_, public_key) = tls_key::generate().unwrap();
    let insert = "INSERT INTO keys (id, label, algorithm, policy, enforcement, purpose, approvals, origin, state, \
                  presence, token, public_key_pem, comment, created_at) VALUES ($1, 'web', 'p256', 'token-only', \
                  'token', 'tls', 0, 'generated', 'active', 'present', 't', $2, '', 0)";
    let row = sqlx::query(insert).bind(ID).bind(public_key.to_pem().unwrap());
    row.execute(bench.services.keys.db.reader()).await.unwrap();
    let sign = async |key: &str| {
        let body = r#"{"messages":["AA=="]}"#;
        problem(bench.ask(Role::Signer, "POST", &format!("/api/v1/keys/{key}/sign"), body).await).await
    };

    let refused = sign("wbe").await;
    let failed = sign("web").await;

    assert_eq!(refused, (404, "key-unknown".to_owned()));
    assert_eq!(failed, (500, "worker-unstartable".to_owned()));
    let records = bench.services.keys.audit.list(RecordFilter::default()).await.unwrap().items;
    assert_eq!(records.iter().map(|record| record.code.as_str()).collect::<Vec<_>>(), ["key-unknown"]);
}

#[tokio::test]
async fn who_asks_too_much_gets_429_and_when_to_come_again() {
    let bench = Bench::with_rate(NonZeroU32::MIN).await;
    let token = format!("Bearer {}", bench.token("ci", &[Role::Operator]).await);

    let mut answer = bench.answer(Some(&token)).await;
    for _ in 0..100 {
        if answer.status() != StatusCode::OK {
            break;
        }
        answer = bench.answer(Some(&token)).await;
    }

    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    assert_eq!(problem(answer).await, (429, "rate-exceeded".to_owned()));
}

#[tokio::test]
async fn an_archive_is_downloaded_by_who_may_make_one_and_that_is_recorded() {
    let bench = Bench::new().await;
    bench.services.backups.destination.store("a.tar", b"bytes").unwrap();
    let insert = "INSERT INTO backups (sequence, id, state, name, sha256, size_bytes, keys_wrapped, keks, not_covered, \
                  destinations, created_at) VALUES (1, $1, 'green', 'a.tar', '00', 5, 0, '[]', '[]', '[]', 0)";
    sqlx::query(insert).bind(BackupId::new().to_string()).execute(bench.services.keys.db.reader()).await.unwrap();

    let refused = bench.problem(Role::Auditor, "GET", "/api/v1/backups/1/archive").await;
    let answer = bench.ask(Role::Admin, "GET", "/api/v1/backups/1/archive", Body::empty()).await;

    assert_eq!(refused, (403, "role-missing".to_owned()));
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "bytes");
    let records = bench.services.keys.audit.list(RecordFilter::default()).await.unwrap().items;
    assert_eq!(records[0].event, "backup.download");
    assert_eq!((records[0].principal.id.as_str(), records[0].object.label.as_str()), ("u-1", "a.tar"));
}

#[tokio::test]
async fn a_caller_without_the_role_is_refused_before_the_archive_is_read() {
    let bench = Bench::new().await;

    for path in ["/api/v1/restores", "/api/v1/drills"] {
        let (_sender, body) = endless();
        let answer = bench.ask(Role::Auditor, "POST", path, body).await;

        assert_eq!(problem(answer).await, (403, "role-missing".to_owned()));
    }
}

#[tokio::test]
async fn one_restore_drill_or_backup_waits_and_a_further_one_is_turned_away_unread() {
    let bench = Bench::new().await;
    let ((_first, at_work), (second, waits), (_third, one_more)) = (endless(), endless(), endless());
    let mut at_work = pin!(bench.ask(Role::Operator, "POST", "/api/v1/restores", at_work));
    let mut waits = Box::pin(bench.ask(Role::Operator, "POST", "/api/v1/drills", waits));
    assert!(polled_once(&mut at_work).await.is_none());
    assert!(polled_once(&mut waits).await.is_none());

    let turned_away = bench.ask(Role::Operator, "POST", "/api/v1/drills", one_more).await;
    let backup = bench.problem(Role::Operator, "POST", "/api/v1/backups").await;
    drop(waits);
    // As the connection's end does.
    second.abort(io::Error::other("the client left"));
    let let_in = bench.problem(Role::Operator, "POST", "/api/v1/backups").await;

    assert_eq!(problem(turned_away).await, (503, "backup-busy".to_owned()));
    assert_eq!(backup, (503, "backup-busy".to_owned()));
    assert_eq!(let_in, (202, String::new()));
}

#[tokio::test]
async fn whatever_is_asked_in_vain_is_answered_by_a_problem_document() {
    let bench = Bench::new().await;
    let code = |status: u16, code: &str| (status, code.to_owned());

    assert_eq!(bench.problem(Role::Admin, "GET", "/").await, code(404, "route-unknown"));
    assert_eq!(bench.problem(Role::Admin, "GET", "/api/v2/keys").await, code(404, "route-unknown"));
    assert_eq!(bench.problem(Role::Admin, "GET", "/api/v1/nothing").await, code(404, "route-unknown"));
    assert_eq!(bench.problem(Role::Admin, "GET", "/api/v1/keys/%FF").await, code(422, "request-malformed"));
    assert_eq!(bench.problem(Role::Admin, "GET", "/api/v1/keys?limit=x").await, code(422, "request-malformed"));

    let answer = bench.ask(Role::Admin, "PUT", "/api/v1/keys", Body::empty()).await;
    let allowed = answer.headers()[header::ALLOW].to_str().unwrap().to_owned();
    assert_eq!(problem(answer).await, code(405, "method-unknown"));
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");

    let large = bench.ask(Role::Admin, "POST", "/api/v1/keys", vec![b' '; (4 << 20) + 1]).await;
    assert_eq!(problem(large).await, code(413, "request-too-large"));
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_not_read_as_json() {
    let bench = Bench::new().await;
    let mut form = request(Role::Operator, "POST", "/api/v1/keys", Body::from("{}"));
    form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());

    let answer = bench.router.clone().oneshot(form).await.unwrap();

    assert_eq!(problem(answer).await, (422, "request-malformed".to_owned()));
}
