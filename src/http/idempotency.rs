//! `Idempotency-Key` on what changes something by POST: done once, answered as often as it is asked for.
//!
//! The body is hashed while the handler reads it, so that nothing is read before roles are judged. As every change, a
//! request under a key goes on when its client leaves: whoever asks again gets its answer.

use super::{HttpError, Services, body::next_piece, observe, problem::Failure, routes::ARCHIVE_BYTES};
use crate::base::principal::Caller;
use crate::commands::claims::{Answer, Claim, Claimed, Done, Keyed};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Collected, Limited};
use sha2::{Digest as _, Sha256};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

/// Around every route that may change something.
pub(super) async fn once(State(services): State<Services>, request: Request, next: Next) -> Response {
    let is_use = observe::template(&request).is_some_and(observe::is_use);
    if request.method() != Method::POST || is_use || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    done_once(&services, request, next).await.unwrap_or_else(axum::response::IntoResponse::into_response)
}

async fn done_once(services: &Services, request: Request, next: Next) -> Result<Response, Failure> {
    let keyed = keyed(&request)?;
    match services.commands.claim(keyed).await? {
        Claimed::Before(done) => replayed(done, request.into_body()).await,
        Claimed::First(claim) => Ok(carry_out(claim, request, next).await),
    }
}

fn keyed(request: &Request) -> Result<Keyed, HttpError> {
    let malformed = || HttpError::Malformed {
        cause: format!("the header Idempotency-Key has to be one word of 1 to {LONGEST} visible ASCII characters"),
    };
    let mut values = request.headers().get_all(KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(malformed()) };
    let key = value.as_bytes();
    if !(1..=LONGEST).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(malformed());
    }
    let caller = request.extensions().get::<Caller>().ok_or(HttpError::Unidentified)?;
    // The router has taken the beginning of the path away.
    let uri = request.extensions().get::<axum::extract::OriginalUri>().map_or(request.uri(), |original| &original.0);
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    Ok(Keyed {
        principal: caller.principal().id.clone(),
        key: String::from_utf8_lossy(key).into_owned(),
        request: format!("{} {path}", request.method()),
    })
}

async fn carry_out(claim: Claim, request: Request, next: Next) -> Response {
    let reading = Arc::new(Mutex::new(Reading::default()));
    let request = request.map(|body| Body::new(Read::new(body, Arc::clone(&reading))));
    let (response, kept) = if_kept(next.run(request).await).await;
    let body = reading.lock().unwrap_or_else(PoisonError::into_inner).sha256();
    let ended = match &kept {
        Kept::Nothing => claim.give_back().await,
        Kept::End => claim.keep(body, None).await,
        Kept::Answer(answer) => claim.keep(body, Some(answer)).await,
    };
    if let Err(error) = ended {
        tracing::error!(%error, "what became of a request under an Idempotency-Key could not be recorded");
    }
    response
}

/// What is kept of an answer.
enum Kept {
    Nothing,
    /// That it was done.
    End,
    Answer(Answer),
}

/// Only JSON that anybody may keep: an answer with a secret forbids it to caches, and so to us.
async fn if_kept(response: Response) -> (Response, Kept) {
    let (parts, body) = response.into_parts();
    if !parts.status.is_success() {
        return (Response::from_parts(parts, body), Kept::Nothing);
    }
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_json = text(header::CONTENT_TYPE) == Some(JSON);
    let is_secret = text(header::CACHE_CONTROL).is_some_and(|control| control.contains("no-store"));
    if !is_json || is_secret {
        return (Response::from_parts(parts, body), Kept::End);
    }
    // Our own answers do not break off.
    let bytes = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let kept = match std::str::from_utf8(&bytes) {
        Ok(body) if body.len() <= ANSWER_BYTES => {
            let location = text(header::LOCATION).map(str::to_owned);
            Kept::Answer(Answer { status: parts.status.as_u16(), location, body: body.to_owned() })
        }
        _ => Kept::End,
    };
    (Response::from_parts(parts, bytes.into()), kept)
}

/// The answer of the first time, if this is the same request.
async fn replayed(done: Done, body: Body) -> Result<Response, Failure> {
    let mut body = Body::new(Limited::new(body, ARCHIVE_BYTES));
    let mut sha256 = Sha256::new();
    while let Some(piece) = next_piece(&mut body).await? {
        sha256.update(&piece);
    }
    let answer = done.answer_to(sha256.finalize().into())?;
    let mut response = (StatusCode::from_u16(answer.status).unwrap_or_default(), answer.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(HeaderName::from_static(REPLAYED), HeaderValue::from_static("true"));
    if let Some(location) = answer.location.and_then(|location| HeaderValue::try_from(location).ok()) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What was read of a body.
#[derive(Default)]
struct Reading {
    sha256: Sha256,
    is_whole: bool,
}

impl Reading {
    /// None if the handler did not want all of it: then the answer cannot depend on it.
    fn sha256(&self) -> Option<[u8; 32]> {
        self.is_whole.then(|| self.sha256.clone().finalize().into())
    }
}

/// A body that is hashed while it is read.
struct Read {
    body: Body,
    reading: Arc<Mutex<Reading>>,
}

impl Read {
    fn new(body: Body, reading: Arc<Mutex<Reading>>) -> Self {
        let this = Self { body, reading };
        this.note(None);
        this
    }

    fn note(&self, piece: Option<&Bytes>) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = piece {
            reading.sha256.update(piece);
        }
        reading.is_whole |= self.body.is_end_stream();
    }
}

impl HttpBody for Read {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.note(frame.data_ref()),
            Poll::Ready(None) => self.reading.lock().unwrap_or_else(PoisonError::into_inner).is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const JSON: &str = "application/json";
/// Characters of a key.
const LONGEST: usize = 128;
/// A longer answer is not kept.
const ANSWER_BYTES: usize = 256 << 10;
