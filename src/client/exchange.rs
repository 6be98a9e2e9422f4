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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::activity::Watched;
    use std::{
        collections::VecDeque,
        sync::{
            Mutex as StdMutex,
            atomic::{AtomicUsize, Ordering},
        },
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::yield_now,
    };

    /// What a server does on one connection, before it closes.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Act {
        /// Sends an answer.
        Answer,
        /// Reads the head of a request.
        Read,
        /// Does nothing more.
        Sleep,
    }
    use Act::{Answer, Read, Sleep};

    struct Script {
        connections: AtomicUsize,
        left: StdMutex<VecDeque<&'static [Act]>>,
    }

    impl Connector for &'static Script {
        type Stream = Watched<DuplexStream>;

        async fn connect(&self, activity: &Activity) -> Result<Self::Stream, ClientError> {
            let acts = self.left.lock().unwrap().pop_front().expect("one connection too many");
            self.connections.fetch_add(1, Ordering::Relaxed);
            let (near, far) = duplex(4_096);
            tokio::spawn(play(far, acts));
            Ok(Watched::new(near, activity))
        }

        fn name(&self) -> String {
            "the script".to_owned()
        }

        fn host(&self) -> HeaderValue {
            HeaderValue::from_static("script")
        }

        fn authorization(&self) -> Option<HeaderValue> {
            None
        }
    }

    async fn play(mut stream: DuplexStream, acts: &[Act]) {
        for act in acts {
            match act {
                Answer => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap(),
                Read => {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                }
                Sleep => std::future::pending().await,
            }
        }
    }

    fn exchange(script: &[&'static [Act]]) -> Exchange<&'static Script> {
        let left = StdMutex::new(script.iter().copied().collect());
        let script = Box::leak(Box::new(Script { connections: AtomicUsize::new(0), left }));
        let patience = Patience { connect: Duration::from_secs(10), silence: Duration::from_millis(50) };
        Exchange::new(script, patience)
    }

    async fn send(exchange: &Exchange<&'static Script>, method: Method, body: usize) -> Result<Vec<u8>, ClientError> {
        let request = Request::builder().method(method).uri("/x").body(vec![b'x'; body]).unwrap();
        exchange.carry(request).await.map(Response::into_body)
    }

    #[tokio::test]
    async fn one_connection_carries_all_requests() {
        let exchange = exchange(&[&[Read, Answer, Read, Answer]]);

        assert_eq!(send(&exchange, Method::GET, 0).await.unwrap(), b"{}");
        assert_eq!(send(&exchange, Method::POST, 0).await.unwrap(), b"{}");

        assert_eq!(exchange.connector.connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn only_what_reads_is_sent_again_when_a_kept_connection_ends() {
        let reading = exchange(&[&[Read, Answer, Read], &[Read, Answer]]);
        let writing = exchange(&[&[Read, Answer, Read], &[Read, Answer]]);
        for exchange in [&reading, &writing] {
            send(exchange, Method::GET, 0).await.unwrap();
        }

        assert_eq!(send(&reading, Method::GET, 0).await.unwrap(), b"{}");
        let error = send(&writing, Method::POST, 0).await.unwrap_err();

        assert!(matches!(error, ClientError::BrokeOff { .. }), "{error}");
        assert!(error.to_string().contains("whether the request was carried out is not known"), "{error}");
        assert_eq!(writing.connector.connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_before_a_request_is_made_anew_for_any() {
        let exchange = exchange(&[&[Read, Answer], &[Read, Answer]]);
        send(&exchange, Method::GET, 0).await.unwrap();
        while !exchange.kept.lock().await.as_ref().unwrap().is_closed() {
            yield_now().await;
        }

        assert_eq!(send(&exchange, Method::POST, 0).await.unwrap(), b"{}");
    }

    #[tokio::test]
    async fn a_server_that_ends_a_fresh_connection_is_not_asked_again() {
        let exchange = exchange(&[&[Read], &[Read, Answer]]);

        let error = send(&exchange, Method::GET, 0).await.unwrap_err();

        assert!(matches!(error, ClientError::BrokeOff { .. }), "{error}");
    }

    #[tokio::test]
    async fn silence_ends_a_request_for_good() {
        let exchange = exchange(&[&[Read, Answer, Read, Sleep], &[Read, Answer]]);
        send(&exchange, Method::GET, 0).await.unwrap();

        let error = send(&exchange, Method::GET, 0).await.unwrap_err();

        assert!(error.to_string().contains("nothing came for"), "{error}");
        assert_eq!(exchange.connector.connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_answer_that_comes_before_the_request_was_read_counts() {
        let exchange = exchange(&[&[Read, Answer]]);

        assert_eq!(send(&exchange, Method::POST, 1 << 20).await.unwrap(), b"{}");
    }

    /// Never gets a connection.
    struct Deaf;

    impl Connector for Deaf {
        type Stream = Watched<DuplexStream>;

        async fn connect(&self, _: &Activity) -> Result<Self::Stream, ClientError> {
            std::future::pending().await
        }

        fn name(&self) -> String {
            "the deaf one".to_owned()
        }

        fn host(&self) -> HeaderValue {
            HeaderValue::from_static("deaf")
        }

        fn authorization(&self) -> Option<HeaderValue> {
            None
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_take_a_connection_is_not_waited_for_long() {
        let short = Duration::from_millis(20);

        let error = Exchange::new(Deaf, Patience { connect: short, silence: short }).open().await.unwrap_err();

        assert_eq!(error.to_string(), "the deaf one cannot be reached: it did not answer in time");
        assert_eq!(Patience::default().connect, Duration::from_secs(10));
    }
}
