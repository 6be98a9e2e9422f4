//! The pool's own light question to its token, so that no module drops what nobody uses, what one has dropped is made
//! anew before somebody needs it, and a token that goes away or comes back is noticed.

use super::{error::TokenError, life::Shared, message::Operation, pool::SHORT, queue::Lane, supervisor::Supervisor};
use std::{sync::Weak, time::Duration};
use tokio::time::sleep;

/// Asks again and again, as long as the pool lives; a worker that is gone is started for it.
pub(super) async fn watch(pool: Weak<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(shared) = pool.upgrade().filter(|shared| !shared.is_closed()) else { return };
        let supervisor = Supervisor::over(shared);
        // The first answer may be the end of a worker; whether there is a token is for the next one to say.
        if ask(&supervisor).await.is_err() {
            // Its error, too, is in the standing.
            let _ = ask(&supervisor).await;
        }
    }
}

async fn ask(supervisor: &Supervisor) -> Result<(), TokenError> {
    let asked = supervisor.submit(Operation::KeepAlive, Lane::Single, SHORT);
    let answer = match asked {
        Ok(waiting) => waiting.answer().await.map(|_| ()),
        Err(error) => Err(error),
    };
    supervisor.note(answer.as_ref().err());
    answer
}
