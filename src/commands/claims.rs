//! Claims: what is asked for under an `Idempotency-Key` takes effect once.
//!
//! Invariants: a claim is durable before its request begins; what it became is kept with it for a day, or the claim
//! is given back because nothing came of the request. A claim whose request nobody works on any more, and which has
//! no end, is *interrupted*: it is never carried out again under this key.

use super::{CommandError, Commands, db};
use crate::base::{ids::hex, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// A request as its caller named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keyed {
    /// Who asks.
    pub principal: String,
    /// The caller's word for this request.
    pub key: String,
    /// Method, path and query.
    pub request: String,
}

/// What a caller gets for a key.
pub enum Claimed {
    /// Nobody has asked under it: the request may begin.
    First(Claim),
    /// It was asked for before, and was done.
    Before(Done),
}

/// A request that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// SHA-256 of the body, in hex; none if nobody read it to its end.
    body_sha256: Option<String>,
    /// What was answered; none if it is not kept.
    answer: Option<Answer>,
    request: String,
    at: Timestamp,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where the rest is to be found, if the answer says so.
    pub location: Option<String>,
    /// JSON.
    pub body: String,
}

/// The right to carry a request out; the claim is interrupted if this is dropped.
pub struct Claim {
    commands: Commands,
    keyed: Keyed,
    _live: Live,
}

/// The claims whose requests are under way in this process.
pub(super) type LiveClaims = Arc<Mutex<HashSet<(String, String)>>>;

struct Live {
    all: LiveClaims,
    this: (String, String),
}

/// A claim as its row has it.
pub(super) struct Row {
    pub(super) request: String,
    pub(super) is_done: bool,
    pub(super) body_sha256: Option<String>,
    pub(super) answer: Option<Answer>,
    pub(super) created_at: Timestamp,
}

impl Commands {
    /// Claims a request for this caller, durably.
    ///
    /// # Errors
    /// Another request has this key; this one is under way, or was interrupted; the caller has too many claims.
    pub async fn claim(&self, keyed: Keyed) -> Result<Claimed, CommandError> {
        let live = Live::enter(&self.claims, &keyed);
        let now = self.clock.now();
        let found = match &live {
            Some(_) => db::claim(&self.db, &keyed, now, (now.plus_days(-KEPT_DAYS), MOST)).await?,
            None => db::find_claim(&self.db, &keyed).await?,
        };
        match (found, live) {
            (None, Some(live)) => Ok(Claimed::First(Claim { commands: self.clone(), keyed, _live: live })),
            (Some(row), _) if row.request != keyed.request => Err(CommandError::KeyReused { request: row.request }),
            (Some(row), _) if row.is_done => Ok(Claimed::Before(Done::from(row))),
            (Some(row), Some(_)) => Err(CommandError::RequestInterrupted { request: row.request, at: row.created_at }),
            (_, None) => Err(CommandError::InProgress { request: keyed.request }),
        }
    }
}

impl Claim {
    /// The request was done; keeps its answer.
    ///
    /// # Errors
    /// The database cannot be written; then the claim counts as interrupted.
    pub async fn keep(self, body: Option<[u8; 32]>, answer: Option<&Answer>) -> Result<(), CommandError> {
        let body = body.map(|sha256| hex(&sha256));
        Ok(db::end_claim(&self.commands.db, &self.keyed, body, answer).await?)
    }

    /// Nothing came of the request: the key is free again.
    ///
    /// # Errors
    /// The database cannot be written; then the claim counts as interrupted.
    pub async fn give_back(self) -> Result<(), CommandError> {
        Ok(db::drop_claim(&self.commands.db, &self.keyed).await?)
    }
}

impl Done {
    /// What was answered, to a request with this body.
    ///
    /// # Errors
    /// The body is another one; or the answer is not kept, since it held a secret.
    pub fn answer_to(self, body: [u8; 32]) -> Result<Answer, CommandError> {
        if self.body_sha256.is_some_and(|kept| kept != hex(&body)) {
            return Err(CommandError::KeyReused { request: self.request });
        }
        self.answer.ok_or(CommandError::RequestDone { request: self.request, at: self.at })
    }
}

impl From<Row> for Done {
    fn from(row: Row) -> Self {
        Self { body_sha256: row.body_sha256, answer: row.answer, request: row.request, at: row.created_at }
    }
}

impl Live {
    /// None if the request is under way already.
    fn enter(all: &LiveClaims, keyed: &Keyed) -> Option<Self> {
        let this = (keyed.principal.clone(), keyed.key.clone());
        let is_new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(this.clone());
        is_new.then(|| Self { all: Arc::clone(all), this })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.this);
    }
}

/// How long a key is remembered.
const KEPT_DAYS: i64 = 1;
/// Keys that are remembered for one principal.
const MOST: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;

    fn keyed(key: &str, request: &str) -> Keyed {
        Keyed { principal: "uid:1".to_owned(), key: key.to_owned(), request: request.to_owned() }
    }

    async fn first(bench: &Bench, keyed: &Keyed) -> Claim {
        match bench.commands.claim(keyed.clone()).await.unwrap() {
            Claimed::First(claim) => claim,
            Claimed::Before(_) => panic!("the key is taken"),
        }
    }

    async fn before(bench: &Bench, keyed: &Keyed) -> Done {
        match bench.commands.claim(keyed.clone()).await.unwrap() {
            Claimed::First(_) => panic!("nobody has claimed it"),
            Claimed::Before(done) => done,
        }
    }

    fn answer() -> Answer {
        Answer { status: 201, location: None, body: "{}".to_owned() }
    }

    #[tokio::test]
    async fn the_same_request_gets_the_kept_answer_and_another_body_does_not() {
        let (bench, keyed) = (Bench::new().await, keyed("k", "POST /keys"));
        first(&bench, &keyed).await.keep(Some([7; 32]), Some(&answer())).await.unwrap();

        assert_eq!(before(&bench, &keyed).await.answer_to([7; 32]).unwrap(), answer());
        let other = before(&bench, &keyed).await.answer_to([8; 32]);
        assert!(matches!(other, Err(CommandError::KeyReused { .. })));
    }

    #[tokio::test]
    async fn a_body_that_nobody_read_need_not_be_the_same() {
        let (bench, keyed) = (Bench::new().await, keyed("k", "POST /backups"));
        first(&bench, &keyed).await.keep(None, Some(&answer())).await.unwrap();

        assert_eq!(before(&bench, &keyed).await.answer_to([8; 32]).unwrap(), answer());
    }

    #[tokio::test]
    async fn a_key_is_of_one_principal_and_of_one_request() {
        let (bench, mine) = (Bench::new().await, keyed("k", "POST /keys"));
        let theirs = Keyed { principal: "uid:2".to_owned(), ..mine.clone() };
        first(&bench, &mine).await.keep(None, None).await.unwrap();

        let other = bench.commands.claim(keyed("k", "POST /backups")).await;

        assert!(matches!(other, Err(CommandError::KeyReused { request }) if request == "POST /keys"));
        first(&bench, &theirs).await;
    }

    #[tokio::test]
    async fn a_request_under_way_is_not_begun_again_and_one_that_was_dropped_is_interrupted() {
        let (bench, keyed) = (Bench::new().await, keyed("k", "POST /keys"));
        let claim = first(&bench, &keyed).await;

        let meanwhile = bench.commands.claim(keyed.clone()).await;
        drop(claim);
        let afterwards = bench.commands.claim(keyed.clone()).await;

        assert!(matches!(meanwhile, Err(CommandError::InProgress { .. })));
        assert!(matches!(afterwards, Err(CommandError::RequestInterrupted { .. })));
    }

    #[tokio::test]
    async fn a_claim_that_is_given_back_is_free_again() {
        let (bench, keyed) = (Bench::new().await, keyed("k", "POST /keys"));

        first(&bench, &keyed).await.give_back().await.unwrap();

        first(&bench, &keyed).await;
    }

    #[tokio::test]
    async fn a_key_is_forgotten_after_a_day_and_not_before() {
        const DAY_MS: i64 = 86_400_000;
        let (bench, keyed) = (Bench::new().await, keyed("k", "POST /keys"));
        first(&bench, &keyed).await.keep(None, Some(&answer())).await.unwrap();
        let made_at = |ago: i64| {
            let at = bench.commands.clock.now().as_millis() - ago;
            let db = bench.commands.db.clone();
            async move { sqlx::query("UPDATE claims SET created_at = $1").bind(at).execute(db.reader()).await.unwrap() }
        };

        made_at(DAY_MS - 60_000).await;
        before(&bench, &keyed).await;
        made_at(DAY_MS + 1).await;

        first(&bench, &keyed).await;
    }

    #[tokio::test]
    async fn one_principal_has_10_000_keys_at_most_and_another_one_its_own() {
        let bench = Bench::new().await;
        let now = bench.commands.clock.now().as_millis();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO claims \
                    (principal, idempotency_key, request, state, created_at) SELECT 'uid:1', i, 'POST /keys', 'done', $1 FROM n";
        sqlx::query(fill).bind(now).execute(bench.commands.db.reader()).await.unwrap();

        let one_more = bench.commands.claim(keyed("k", "POST /keys")).await;

        assert!(matches!(one_more, Err(CommandError::ClaimsFull { most: 10_000 })));
        first(&bench, &Keyed { principal: "uid:2".to_owned(), ..keyed("k", "POST /keys") }).await;
    }
}
