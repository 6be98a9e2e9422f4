//! Commands as the API has them.

use crate::base::{
    algorithm::named,
    fault::Report,
    ids::{CommandId, RequestId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

named! {
    /// Where a command is.
    CommandState, "command state" {
        /// It is at work.
        Running = "running",
        /// It ended with a result.
        Done = "done",
        /// It ended with a problem.
        Failed = "failed",
    }
}

/// How far a command is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// Keys done.
    pub done: usize,
    /// Keys there are; 0 as long as it is not known.
    pub total: usize,
}

/// One command.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CommandView {
    /// Its id.
    pub id: CommandId,
    /// What it does: `backup.run`, `backup.restore`, `backup.drill`.
    pub kind: String,
    /// Where it is.
    pub state: CommandState,
    /// How far it is.
    pub progress: ProgressView,
    /// What came of it, when done.
    pub result: Option<serde_json::Value>,
    /// Why it failed.
    pub problem: Option<Report>,
    /// The request that asked for it, as in the logs.
    pub request_id: RequestId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// `GET commands/{id}`.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CommandQuery {
    /// Progress that the caller knows of already.
    #[serde(default)]
    #[param(format = "uint64")]
    pub seen: usize,
    /// How many milliseconds to wait for more, never more than 30,000.
    #[serde(default)]
    #[param(format = "uint64")]
    pub wait_ms: u64,
}

impl CommandView {
    pub(super) fn new(id: CommandId, kind: &str, request_id: RequestId, created_at: Timestamp) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            state: CommandState::Running,
            progress: ProgressView::default(),
            result: None,
            problem: None,
            request_id,
            created_at,
            finished_at: None,
        }
    }
}
