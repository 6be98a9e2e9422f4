//! The database: connection, transactions, migrations. The SQL of a noun is in that noun's `db.rs`.
//!
//! SQLite with a write-ahead log and full synchronisation: a committed transaction survives a power cut.
//! Every statement is one that PostgreSQL takes too: `$1` parameters, TEXT and BIGINT columns only.
//! Times are milliseconds (BIGINT), ids hyphenated text, flags 0 or 1.

pub mod durable;
pub mod error;
pub mod instance;
pub mod tokens;

pub use error::DbError;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use std::{path::Path, time::Duration};

/// A transaction; dropped without [`commit`], nothing of it happened.
pub type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// The database of one instance.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be opened or written, or it is of a newer keyward.
    pub async fn open(path: &Path) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// For reading outside a transaction.
    #[must_use]
    pub const fn reader(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a transaction that may write; it has the write lock from the start, so it never fails half-way for one.
    ///
    /// # Errors
    /// The database cannot be reached, or another writer held it for ten seconds.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// What is wrong with the file; nothing if it is whole.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn faults(&self) -> Result<Vec<String>, DbError> {
        let answers: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(5)").fetch_all(&self.pool).await?;
        Ok(answers.into_iter().filter(|answer| answer != "ok").collect())
    }

    /// Writes everything back and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Makes a transaction durable.
///
/// # Errors
/// The disk is full or the file cannot be written; then nothing of the transaction happened.
pub async fn commit(transaction: Transaction) -> Result<(), DbError> {
    Ok(transaction.commit().await?)
}
