//! Every route on one screen.

use super::{
    Services, audit, backups, ceremonies, certificates, commands, credentials, doctor, exports, health,
    idempotency::once,
    identity::identify,
    instance, keys,
    line::Line,
    metrics,
    observe::observe,
    openapi,
    problem::{no_such_method, not_found},
    token,
    undisturbed::undisturbed,
    whoami,
};
use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

/// The router of the agent API. Requests need a `Peer` extension.
pub fn router(services: Services) -> Router {
    let api = Router::new()
        .route("/adoptions", post(keys::adopt))
        .route("/audit/checkpoint", post(audit::checkpoint))
        .route("/audit/export", get(audit::export))
        .route("/audit/records", get(audit::records))
        .route("/audit/verify", post(audit::verify))
        .route("/backups", get(backups::list).post(backups::run))
        .route("/backups/{sequence}", get(backups::show))
        .route("/backups/{sequence}/archive", get(backups::archive))
        .route("/backups/{sequence}/verify", post(backups::verify))
        .route("/ceremonies/recoveries", post(ceremonies::put_together))
        .route("/ceremonies/recoveries/{recovery}/keks", post(ceremonies::import))
        .route("/certificates", get(certificates::list))
        .route("/certificates/{id}", get(certificates::show))
        .route("/commands/{id}", get(commands::show))
        .route("/coverage", get(backups::coverage))
        .route("/credentials", get(credentials::list).post(credentials::add))
        .route("/credentials/{credential}", get(credentials::show).delete(credentials::revoke))
        .route("/doctor", post(doctor::examine))
        .route("/drills", post(backups::drill).layer(DefaultBodyLimit::max(ARCHIVE_BYTES)))
        .route("/exports", get(exports::list).post(exports::create))
        .route("/exports/{id}", get(exports::show))
        .route("/instance", get(instance::show))
        .route("/keks", get(ceremonies::keks))
        .route("/keys", get(keys::list).post(keys::generate))
        .route("/keys/{key}", get(keys::show).delete(keys::destroy))
        .route("/keys/{key}/attestation", get(keys::attestation))
        .route("/keys/{key}/certificates", post(certificates::add))
        .route("/keys/{key}/csr", post(keys::csr))
        .route("/keys/{key}/public", get(keys::public))
        .route("/keys/{key}/self-signed", post(certificates::self_sign))
        .route("/restores", post(backups::restore).layer(DefaultBodyLimit::max(ARCHIVE_BYTES)))
        .route("/token", get(token::home))
        .route("/tokens", get(token::list))
        .route("/tokens/{token}", get(token::show))
        .route("/tokens/{token}/objects", get(token::scan))
        .route("/tokens/{token}/probe", post(token::probe))
        .route("/whoami", get(whoami::show))
        .fallback(not_found)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(services.clone(), once))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(Extension(Line::new()));
    // Each layer clones those below it for every request; a signature goes without the layers that are not for it.
    let signing = Router::new()
        .route("/keys/{key}/sign", post(keys::sign))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES));
    // With a PIN in the body, or good to be done twice: an `Idempotency-Key` would keep a hash of the body.
    let pins = Router::new()
        .route("/tokens/{token}/pin", post(token::change_pin))
        .route("/tokens/{token}/seal", post(token::seal))
        .route("/tokens/{token}/unlock", post(token::unlock))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES));
    // What the API is, anybody may read: a browser has no credential to show.
    let description = Router::new()
        .route("/docs", get(openapi::page::html).fallback(health::no_other_method))
        .route("/docs/script.js", get(openapi::page::script).fallback(health::no_other_method))
        .route("/docs/style.css", get(openapi::page::style).fallback(health::no_other_method))
        .route("/openapi.json", get(openapi::show).fallback(health::no_other_method));
    Router::new()
        .nest("/api/v1", api)
        .nest("/api/v1", signing)
        .nest("/api/v1", pins)
        .route("/metrics", get(metrics::show))
        .fallback(not_found)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(services.clone(), identify))
        .route("/healthz", get(health::live).fallback(health::no_other_method))
        .route("/readyz", get(health::ready).fallback(health::no_other_method))
        .nest("/api/v1", description)
        .layer(middleware::from_fn_with_state(services.clone(), observe))
        .layer(middleware::from_fn(undisturbed))
        .with_state(services)
}

/// Bytes a request may have: 64 messages of some length, in base64.
pub(super) const BODY_BYTES: usize = 4 << 20;
/// Bytes an archive may have: some 200,000 keys.
pub(super) const ARCHIVE_BYTES: usize = 256 << 20;
