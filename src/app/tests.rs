//! The API as a listener would use it, with callers of every role; the token is away.

use crate::access::Access;
use crate::audit::{Audit, Writer, api::RecordFilter};
use crate::backup::{Backups, destination::Directory};
use crate::base::{
    custody::Posture,
    ids::{BackupId, InstanceId, RequestId},
    principal::{Caller, Identity, Principal, PrincipalKind, Role},
    time::{Clock, SystemClock},
};
use crate::ceremony::recover::Recoveries;
use crate::commands::Commands;
use crate::db::Database;
use crate::http::{Health, Meters, Services, router};
use crate::keys::Keys;
use crate::token::{Token, TokenSettings, address::TokenAddress, pin::PinSource};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt as _, channel::Channel};
use std::{convert::Infallible, num::NonZeroU32, pin::pin, sync::Arc, time::Duration};
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
        let directory = tempfile::tempdir().unwrap();
        let (path, clock): (_, Arc<dyn Clock>) = (directory.path().to_owned(), Arc::new(SystemClock));
        let db = Database::open(&path.join("keyward.db")).await.unwrap();
        let instance = InstanceId::new();
        let writer = Writer { instance, suffix: String::new() };
        let audit = Audit::open(db.clone(), path.join("audit"), writer, clock.clone()).await.unwrap();
        let token = Token::new(
            TokenSettings {
                address: TokenAddress { module: path.join("no-module"), label: "t".to_owned() },
                sessions: 1,
                pin: PinSource::File(path.join("no-pin")),
                so_pin: None,
                softhsm_conf: None,
                state_directory: path.clone(),
                executable: path.join("no-keyward"),
            },
            None,
        );
        let commands = Commands::open(db.clone(), audit.clone(), clock.clone()).await.unwrap();
        let keys = Keys { db, audit, token, clock, posture: Posture::Rig };
        let backups = Backups {
            keys: keys.clone(),
            instance: Arc::new(RwLock::new(instance)),
            destination: Directory::new(path.join("backups")),
            directory: path,
            recoveries: Recoveries::default(),
            turn: Arc::new(Mutex::new(())),
        };
        let stores = (keys.db.clone(), keys.audit.clone());
        let access = Access::open(stores, keys.clock.clone(), 0, NonZeroU32::MAX).await.unwrap();
        let (health, meters) = (Health::default(), Meters::new());
        let problems = super::errors_page::entries;
        let services = Services { access, backups, commands, health, keys, meters, problems };
        Self { router: router(services.clone()), services, _directory: directory }
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
        self.router.clone().oneshot(request(role, method, path, body.into())).await.unwrap()
    }

    /// Status and problem code; the code of an answer that is no problem is empty.
    async fn problem(&self, role: Role, method: &str, path: &str) -> (u16, String) {
        problem(self.ask(role, method, path, Body::empty()).await).await
    }
}

fn request(role: Role, method: &str, path: &str, body: Body) -> Request<Body> {
    let principal = Principal { id: "u-1".to_owned(), kind: PrincipalKind::Person, name: "Zoë".to_owned() };
    let caller = Caller::new(Identity::new(principal, vec![role]).into(), RequestId::new());
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    request.extension(caller).body(body).unwrap()
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
fn endless() -> (http_body_util::channel::Sender<Bytes, Infallible>, Body) {
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
    let lists = ["keys", "certificates", "exports", "backups", "keks", "coverage", "audit/records"];
    let details = ["keys/web", "keys/web/public", "certificates/00", "exports/1", "backups/1", "instance", "token"];

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
    let ((_first, at_work), (_second, waits), (_third, one_more)) = (endless(), endless(), endless());
    let mut at_work = pin!(bench.ask(Role::Operator, "POST", "/api/v1/restores", at_work));
    let mut waits = Box::pin(bench.ask(Role::Operator, "POST", "/api/v1/drills", waits));
    assert!(polled_once(&mut at_work).await.is_none());
    assert!(polled_once(&mut waits).await.is_none());

    let turned_away = bench.ask(Role::Operator, "POST", "/api/v1/drills", one_more).await;
    let backup = bench.problem(Role::Operator, "POST", "/api/v1/backups").await;
    drop(waits);
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
