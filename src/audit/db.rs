//! The management log's rows: one line each, with the columns that lists and recovery look for.

use super::{
    api::{Order, RecordFilter},
    error::AuditError,
    record::{Log, Phase, Record},
};
use crate::db::{Database, DbError, Transaction};

/// A row of `audit_records`. Only `line` counts as evidence; the rest must agree with it.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) seq: i64,
    pub(super) time: i64,
    pub(super) event: String,
    pub(super) phase: String,
    pub(super) intent: Option<i64>,
    pub(super) principal_id: String,
    pub(super) object_id: String,
    pub(super) outcome: String,
    pub(super) line: String,
}

impl Row {
    /// The row that a record with this line is stored as.
    pub(super) fn of(record: &Record, line: String) -> Self {
        Self {
            seq: record.seq.cast_signed(),
            time: record.time.as_millis(),
            event: record.event.clone(),
            phase: record.phase.to_string(),
            intent: record.intent.map(u64::cast_signed),
            principal_id: record.principal.id.clone(),
            object_id: record.object.id.clone(),
            outcome: record.outcome.map(|outcome| outcome.to_string()).unwrap_or_default(),
            line,
        }
    }
}

/// Takes the next sequence number; rolled back with the transaction, so numbers have no gaps.
pub(super) async fn next_seq(transaction: &mut Transaction) -> Result<u64, DbError> {
    let sql = "UPDATE audit_logs SET size = size + 1 WHERE log = 'management' RETURNING size";
    let size: i64 = sqlx::query_scalar(sql).fetch_one(&mut **transaction).await?;
    Ok(size.cast_unsigned())
}

pub(super) async fn insert(transaction: &mut Transaction, row: Row) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO audit_records (seq, time, event, phase, intent, principal_id, object_id, outcome, line) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(row.seq)
    .bind(row.time)
    .bind(row.event)
    .bind(row.phase)
    .bind(row.intent)
    .bind(row.principal_id)
    .bind(row.object_id)
    .bind(row.outcome)
    .bind(row.line)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The sequence number of the last record.
pub(super) async fn size(db: &Database) -> Result<u64, DbError> {
    let sql = "SELECT size FROM audit_logs WHERE log = 'management'";
    let size: i64 = sqlx::query_scalar(sql).fetch_one(db.reader()).await?;
    Ok(size.cast_unsigned())
}

/// The next rows after a sequence number, up to and including another.
pub(super) async fn rows(db: &Database, after: u64, up_to: u64) -> Result<Vec<Row>, DbError> {
    let sql = "SELECT seq, time, event, phase, intent, principal_id, object_id, outcome, line \
               FROM audit_records WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
    let rows = sqlx::query_as(sql).bind(after.cast_signed()).bind(up_to.cast_signed()).bind(PAGE);
    Ok(rows.fetch_all(db.reader()).await?)
}

/// The records that a filter lets through.
pub(super) async fn list(db: &Database, filter: &RecordFilter) -> Result<Vec<Record>, AuditError> {
    let sql = match filter.order {
        Order::Newest => {
            "SELECT seq, line FROM audit_records WHERE seq < $1 AND substr(event, 1, length($2)) = $2 \
             AND ($3 = '' OR object_id = $3) ORDER BY seq DESC LIMIT $4"
        }
        Order::Oldest => {
            "SELECT seq, line FROM audit_records WHERE seq > $1 AND substr(event, 1, length($2)) = $2 \
             AND ($3 = '' OR object_id = $3) ORDER BY seq LIMIT $4"
        }
    };
    let rows = sqlx::query_as(sql)
        .bind(i64::try_from(filter.start()).unwrap_or(i64::MAX))
        .bind(filter.event.as_deref().unwrap_or_default())
        .bind(filter.object.as_deref().unwrap_or_default())
        .bind(i64::from(filter.limit()));
    read(rows.fetch_all(db.reader()).await.map_err(DbError::from)?)
}

/// Intents that no result names.
pub(super) async fn open_intents(db: &Database) -> Result<Vec<Record>, AuditError> {
    let sql = "SELECT seq, line FROM audit_records AS intents WHERE phase = $1 AND NOT EXISTS \
               (SELECT 1 FROM audit_records AS results WHERE results.intent = intents.seq) ORDER BY seq";
    let rows = sqlx::query_as(sql).bind(Phase::Intent.as_str());
    read(rows.fetch_all(db.reader()).await.map_err(DbError::from)?)
}

fn read(rows: Vec<(i64, String)>) -> Result<Vec<Record>, AuditError> {
    let record = |(seq, line): (i64, String)| {
        Record::from_line(line.as_bytes()).map_err(|cause| AuditError::RecordUnreadable {
            log: Log::Management,
            seq: seq.cast_unsigned(),
            cause: cause.to_string(),
        })
    };
    rows.into_iter().map(record).collect()
}

/// Rows read at once.
const PAGE: i64 = 500;
