//! Requests over one HTTP/1.1 connection that is kept (RFC 9112), on any stream.
//!
//! A request is sent again on a new connection when nothing of it was sent on the old one, or when it only reads;
//! anything else might be done twice.

use super::{Carried, Carrier, ClientError, activity::Activity};
use ::http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use std::{fmt::Display, future::Future, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
    time::timeout,
};

/// Makes connections to one service.
pub(super) trait Connector: Send + Sync + 'static {
    /// What the connections run over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new connection, which notes what goes through it.
    fn connect(&self, activity: &Activity) -> impl Future<Output = Result<Self::Stream, ClientError>> + Send;

    /// What messages call the service.
    fn name(&self) -> String;

    /// The header `Host`.
    fn host(&self) -> HeaderValue;

    /// The header `Authorization`, if there is one.
    fn authorization(&self) -> Option<HeaderValue>;
}

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a connection.
    pub(super) connect: Duration,
    /// While nothing goes either way.
    pub(super) silence: Duration,
}

impl Default for Patience {
    /// A token may take minutes for a long RSA key, and says nothing meanwhile.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), silence: Duration::from_secs(300) }
    }
}

/// Carries requests over a connection that is made when it is needed.
pub(super) struct Exchange<C> {
    activity: Activity,
    connector: C,
    kept: Mutex<Option<Sender>>,
    patience: Patience,
}

type Sender = SendRequest<Full<Bytes>>;

/// Why there is no answer on this connection.
struct Ended {
    error: ClientError,
    /// The request, if nothing of it was sent.
    unsent: Option<Request<Full<Bytes>>>,
    /// Whether the connection was found closed, as one is that was kept too long.
    closed: bool,
}

impl<C: Connector> Exchange<C> {
    /// Over connections of this kind.
    pub(super) fn new(connector: C, patience: Patience) -> Self {
        Self { activity: Activity::new(), connector, kept: Mutex::new(None), patience }
    }

    /// Connects, before there is a request.
    pub(super) async fn open(&self) -> Result<(), ClientError> {
        *self.kept.lock().await = Some(self.connection().await?);
        Ok(())
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Vec<u8>>, ClientError> {
        let mut kept = self.kept.lock().await;
        let again = (request.method() == Method::GET).then(|| request.clone());
        if let Some(sender) = kept.take() {
            match self.on(sender, request).await {
                Ok((sender, response)) => {
                    *kept = Some(sender);
                    return Ok(response);
                }
                Err(Ended { unsent: Some(unsent), .. }) => request = unsent,
                Err(Ended { error, closed, .. }) => request = again.filter(|_| closed).ok_or(error)?,
            }
        }
        let (sender, response) = self.on(self.connection().await?, request).await.map_err(|ended| ended.error)?;
        *kept = Some(sender);
        Ok(response)
    }

    async fn connection(&self) -> Result<Sender, ClientError> {
        let unreachable = |cause: String| ClientError::Unreachable { server: self.connector.name(), cause };
        let connected = timeout(self.patience.connect, self.connector.connect(&self.activity)).await;
        let stream = connected.map_err(|_| unreachable("it did not answer in time".to_owned()))??;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
        // What ends a connection is told to whoever has a request on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Sends a request on a connection, and reads the answer.
    async fn on(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Vec<u8>>), Ended> {
        let reads = request.method() == Method::GET;
        self.activity.note();
        let answer = async {
            let response = sender.try_send_request(request).await.map_err(|mut failed| {
                let unsent = failed.take_message();
                Ended { error: self.broke_off(failed.error(), reads), unsent, closed: true }
            })?;
            let cut = |error| Ended { error: self.broke_off(&error, reads), unsent: None, closed: false };
            whole(response).await.map_err(cut)
        };
        let answered = tokio::select! {
            answer = answer => answer,
            () = self.activity.silence(self.patience.silence) => {
                let cause = format!("nothing came for {} seconds", self.patience.silence.as_secs());
                Err(Ended { error: self.broke_off(&cause, reads), unsent: None, closed: false })
            }
        };
        Ok((sender, answered?))
    }

    fn broke_off(&self, cause: &impl Display, reads: bool) -> ClientError {
        let unknown = if reads { "" } else { "; whether the request was carried out is not known" };
        ClientError::BrokeOff { server: self.connector.name(), cause: format!("{cause}{unknown}") }
    }
}

impl<C: Connector> Carrier for Exchange<C> {
    fn carry(&self, request: Request<Vec<u8>>) -> Carried<'_> {
        let mut request = request.map(|body| Full::new(Bytes::from(body)));
        request.headers_mut().insert(header::HOST, self.connector.host());
        if let Some(authorization) = self.connector.authorization() {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Box::pin(self.exchange(request))
    }
}

async fn whole(response: Response<Incoming>) -> hyper::Result<Response<Vec<u8>>> {
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes().into()))
}
