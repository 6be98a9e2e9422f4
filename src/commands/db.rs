//! SQL of commands.

use super::api::{CommandView, ProgressView};
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
