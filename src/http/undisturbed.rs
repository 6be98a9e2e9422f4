//! What may change something goes on when its client leaves, which would end it wherever it is just then: a key that is
//! in the token and not in the inventory would wait for the next start. So it is also recorded, logged and counted.

use super::observe::{is_use, template};
use axum::{extract::Request, middleware::Next, response::Response};
use std::panic::resume_unwind;

/// Around every request.
pub(super) async fn undisturbed(request: Request, next: Next) -> Response {
    if request.method().is_safe() || template(&request).is_some_and(is_use) {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        // As if it had happened here.
        Err(panicked) => resume_unwind(panicked.into_panic()),
    }
}
