//! SQL of commands and claims.

use super::{
    CommandError,
    api::{CommandView, ProgressView},
    claims::{Answer, Keyed, Row},
};
use crate::base::{fault::Report, ids::CommandId, time::Timestamp};
use crate::db::{Database, DbError, commit};
use sqlx::{Row as _, sqlite::SqliteRow};

pub(super) async fn insert(db: &Database, view: &CommandView, principal: &str) -> Result<(), DbError> {
    let mut transaction = db.begin().await?;
    sqlx::query(
        "INSERT INTO commands (id, kind, state, principal, request_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(view.id.to_string())
    .bind(&view.kind)
    .bind(view.state.as_str())
    .bind(principal)
    .bind(view.request_id.to_string())
    .bind(view.created_at.as_millis())
    .execute(&mut *transaction)
    .await?;
    commit(transaction).await
}

/// Writes how a command ended.
pub(super) async fn end(db: &Database, view: &CommandView) -> Result<(), DbError> {
    let result = view.result.as_ref().map(ToString::to_string);
    let problem = view.problem.as_ref().map(serde_json::to_string).transpose().map_err(|error| corrupt(&error))?;
    let mut transaction = db.begin().await?;
    sqlx::query("UPDATE commands SET state = $2, result = $3, problem = $4, finished_at = $5 WHERE id = $1")
        .bind(view.id.to_string())
        .bind(view.state.as_str())
        .bind(result)
        .bind(problem)
        .bind(view.finished_at.map(Timestamp::as_millis))
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

pub(super) async fn fail_running(db: &Database, report: &Report, at: Timestamp) -> Result<(), DbError> {
    let problem = serde_json::to_string(report).map_err(|error| corrupt(&error))?;
    let mut transaction = db.begin().await?;
    sqlx::query("UPDATE commands SET state = 'failed', problem = $1, finished_at = $2 WHERE state = 'running'")
        .bind(problem)
        .bind(at.as_millis())
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

pub(super) async fn find(db: &Database, id: CommandId) -> Result<Option<CommandView>, DbError> {
    let row =
        sqlx::query("SELECT * FROM commands WHERE id = $1").bind(id.to_string()).fetch_optional(db.reader()).await?;
    row.as_ref().map(|row| view(id, row)).transpose()
}

fn view(id: CommandId, row: &SqliteRow) -> Result<CommandView, DbError> {
    let state: String = row.try_get("state")?;
    let request_id: String = row.try_get("request_id")?;
    let finished_at: Option<i64> = row.try_get("finished_at")?;
    Ok(CommandView {
        id,
        kind: row.try_get("kind")?,
        state: state.parse().map_err(|error| corrupt(&error))?,
        progress: ProgressView::default(),
        result: json(row, "result")?,
        problem: json(row, "problem")?,
        request_id: request_id.parse().map_err(|error| corrupt(&error))?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        finished_at: finished_at.map(Timestamp::from_millis),
    })
}

fn json<T: serde::de::DeserializeOwned>(row: &SqliteRow, name: &str) -> Result<Option<T>, DbError> {
    let text: Option<String> = row.try_get(name)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| corrupt(&error))).transpose()
}

fn corrupt(error: &dyn std::fmt::Display) -> DbError {
    DbError::Corrupt { what: "commands", cause: error.to_string() }
}

/// Claims a request, or tells who had the key before. Claims from before `forget` are forgotten; a principal may have
/// `most`.
pub(super) async fn claim(
    db: &Database,
    keyed: &Keyed,
    now: Timestamp,
    (forget, most): (Timestamp, i64),
) -> Result<Option<Row>, CommandError> {
    if let Some(row) = find_claim(db, keyed).await?.filter(|row| row.created_at >= forget) {
        return Ok(Some(row));
    }
    let mut transaction = db.begin().await?;
    sqlx::query("DELETE FROM claims WHERE created_at < $1")
        .bind(forget.as_millis())
        .execute(&mut *transaction)
        .await
        .map_err(DbError::from)?;
    let count: i64 = sqlx::query("SELECT count(*) AS count FROM claims WHERE principal = $1")
        .bind(&keyed.principal)
        .fetch_one(&mut *transaction)
        .await
        .and_then(|row| row.try_get("count"))
        .map_err(DbError::from)?;
    if count >= most {
        return Err(CommandError::ClaimsFull { most });
    }
    sqlx::query(
        "INSERT INTO claims (principal, idempotency_key, request, state, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&keyed.principal)
    .bind(&keyed.key)
    .bind(&keyed.request)
    .bind(RUNNING)
    .bind(now.as_millis())
    .execute(&mut *transaction)
    .await
    .map_err(DbError::from)?;
    commit(transaction).await?;
    Ok(None)
}

pub(super) async fn find_claim(db: &Database, keyed: &Keyed) -> Result<Option<Row>, DbError> {
    let row = sqlx::query("SELECT * FROM claims WHERE principal = $1 AND idempotency_key = $2")
        .bind(&keyed.principal)
        .bind(&keyed.key)
        .fetch_optional(db.reader())
        .await?;
    row.as_ref().map(claim_of).transpose()
}

/// Writes that a claimed request was done.
pub(super) async fn end_claim(
    db: &Database,
    keyed: &Keyed,
    body_sha256: Option<String>,
    answer: Option<&Answer>,
) -> Result<(), DbError> {
    let answer = answer.map(serde_json::to_string).transpose().map_err(|error| corrupt(&error))?;
    let mut transaction = db.begin().await?;
    sqlx::query(
        "UPDATE claims SET state = $3, body_sha256 = $4, answer = $5 WHERE principal = $1 AND idempotency_key = $2",
    )
    .bind(&keyed.principal)
    .bind(&keyed.key)
    .bind(DONE)
    .bind(body_sha256)
    .bind(answer)
    .execute(&mut *transaction)
    .await?;
    commit(transaction).await
}

pub(super) async fn drop_claim(db: &Database, keyed: &Keyed) -> Result<(), DbError> {
    let mut transaction = db.begin().await?;
    sqlx::query("DELETE FROM claims WHERE principal = $1 AND idempotency_key = $2")
        .bind(&keyed.principal)
        .bind(&keyed.key)
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

fn claim_of(row: &SqliteRow) -> Result<Row, DbError> {
    let state: String = row.try_get("state")?;
    Ok(Row {
        request: row.try_get("request")?,
        is_done: state == DONE,
        body_sha256: row.try_get("body_sha256")?,
        answer: json(row, "answer")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
    })
}

/// States of a claim.
const RUNNING: &str = "running";
const DONE: &str = "done";
