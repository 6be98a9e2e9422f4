//! Tells whoever waits for a key in a `YubiKey` that the key waits for a finger.

use super::output::Output;
use crate::base::piv::TouchPolicy;
use crate::keys::api::PivView;
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::timeout;

/// Waits for a use of a key; if the key may want a touch and it is not done at once, says so.
pub(super) async fn told<T>(place: Option<PivView>, output: Output, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let Some(PivView { slot, touch_policy, .. }) = place.filter(|place| place.touch_policy != TouchPolicy::Never)
    else {
        return work.await;
    };
    match timeout(AT_ONCE, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            output.say(&format!(
                "Waiting for touch: touch the YubiKey while it blinks, within 15 seconds (slot {slot}, touch policy \
                 {touch_policy})"
            ));
            work.await
        }
    }
}

/// A signature that nobody has to touch for takes a YubiKey about a tenth of a second.
const AT_ONCE: Duration = Duration::from_millis(500);
