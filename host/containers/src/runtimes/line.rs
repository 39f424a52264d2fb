//! The way to a runtime's socket: every call has an end, and every answer a size.
//!
//! Whoever answers may be broken or hostile: an answer may not come, not end, or be small on the line and large in
//! memory. So bytes are counted where they arrive, and so are the objects that they will become.

use bollard::errors::Error as BollardError;
use http::uri::PathAndQuery;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost::bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, decode_key, skip_field};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status, Streaming};

/// The longest that one call may take.
pub(super) const CALL: Duration = Duration::from_secs(2);
/// The most bytes of one answer: what containerd itself allows.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// The most objects in one answer: containers, ports and whatever else is counted.
pub(super) const MOST_OBJECTS: u64 = 1 << 18;
/// The most containers of one source that are looked at.
pub(super) const MOST_CONTAINERS: usize = 1 << 14;
/// The longest line of a stream of events.
const MOST_LINE: usize = 1 << 20;
/// The most events that wait to be followed; more wait at the runtime.
const MOST_EVENTS: usize = 256;
/// The longest reason.
const MOST_WHY: usize = 300;

/// Why a runtime did not answer as it should: one line, fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

impl Failure {
    pub(super) fn new(why: impl std::fmt::Display) -> Self {
        // What a daemon answers may be in it.
        let text = why.to_string();
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        Self(text.chars().take(MOST_WHY).map(clean).collect())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        // The cause says what happened; hyper itself only where.
        match std::error::Error::source(&error) {
            Some(cause) => Self::new(format_args!("{error}: {cause}")),
            None => Self::new(error),
        }
    }
}

impl From<BollardError> for Failure {
    fn from(error: BollardError) -> Self {
        Self::new(error)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::new(format_args!(
            "{}: {}",
            status.code().description(),
            status.message()
        ))
    }
}

/// Waits for one call, as long as a call may take.
pub(super) async fn within<T, E>(call: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure(format!("no answer within {} s", CALL.as_secs()))),
    }
}

/// What one connection may still bring.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    bytes: Arc<AtomicU64>,
    objects: Arc<AtomicU64>,
}

impl Budget {
    pub(super) fn new() -> Self {
        let budget = Self {
            bytes: Arc::default(),
            objects: Arc::default(),
        };
        budget.refill();
        budget
    }

    /// As much as at the beginning: what came before is done with.
    pub(super) fn refill(&self) {
        self.bytes.store(MOST_BYTES as u64, Ordering::Relaxed);
        self.objects.store(MOST_OBJECTS, Ordering::Relaxed);
    }

    fn spend(&self, arrived: &[u8]) -> io::Result<()> {
        // Each object or list of JSON begins with one of these. One in a text counts, too: there is room for that.
        let opened = arrived.iter().filter(|byte| matches!(byte, b'{' | b'['));
        let take = |left: &AtomicU64, n: u64| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| {
                had.checked_sub(n)
            })
        };
        let enough = take(&self.bytes, arrived.len() as u64).is_ok()
            && take(&self.objects, opened.count() as u64).is_ok();
        if enough {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the answer has more than {} MiB or {MOST_OBJECTS} objects",
            MOST_BYTES >> 20
        )))
    }
}

/// A connection that ends when its budget is spent.
struct Bounded {
    stream: UnixStream,
    budget: Budget,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            self.budget
                .spend(buf.filled().get(before..).unwrap_or_default())?;
        }
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Sends one request over a connection of its own.
pub(super) async fn send<B>(
    path: PathBuf,
    budget: Budget,
    mut request: http::Request<B>,
) -> Result<http::Response<Incoming>, SendError>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = UnixStream::connect(&path).await?;
    let io = TokioIo::new(Bounded { stream, budget });
    let (mut sender, connection) = http1::handshake(io).await?;
    // It ends with the answer, or when nobody reads that any more.
    tokio::spawn(connection);
    // A client of a proxy names the host in the path; a server wants the path alone.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into();
    let host = http::HeaderValue::from_static("localhost");
    request.headers_mut().insert(http::header::HOST, host);
    Ok(sender.send_request(request).await?)
}

/// Why a request could not be sent.
#[derive(Debug)]
pub(super) enum SendError {
    Io(io::Error),
    Http(hyper::Error),
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<hyper::Error> for SendError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Io(error) => error.into(),
            SendError::Http(error) => error.into(),
        }
    }
}

impl From<SendError> for BollardError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Io(error) => error.into(),
            SendError::Http(error) => error.into(),
        }
    }
}

/// A GET of a path, with the answer's status and whole body.
pub(super) async fn get(path: &Path, what: &str) -> Result<(http::StatusCode, Bytes), Failure> {
    within(async {
        let answer = open(path, Budget::new(), what).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?;
        Ok::<_, Failure>((status, body.to_bytes()))
    })
    .await
}

async fn open(
    path: &Path,
    budget: Budget,
    what: &str,
) -> Result<http::Response<Incoming>, Failure> {
    let empty = http_body_util::Empty::<Bytes>::new();
    let request = http::Request::get(what).body(empty).map_err(Failure::new)?;
    Ok(send(path.to_owned(), budget, request).await?)
}

/// A stream of lines.
pub(super) struct Lines {
    body: Incoming,
    budget: Budget,
    rest: Vec<u8>,
}

impl Lines {
    pub(super) async fn open(path: &Path, what: &str) -> Result<Self, Failure> {
        let budget = Budget::new();
        let answer = within(open(path, budget.clone(), what)).await?;
        if !answer.status().is_success() {
            return Err(Failure::new(answer.status()));
        }
        Ok(Self {
            body: answer.into_body(),
            budget,
            rest: Vec::new(),
        })
    }

    /// The next line; waits for it for as long as it takes. None: the stream has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let after = self.rest.split_off(end + 1);
                let line = std::mem::replace(&mut self.rest, after);
                return Ok(Some(line));
            }
            if self.rest.len() > MOST_LINE {
                return Err(Failure::new("a line of more than 1 MiB"));
            }
            match self.body.frame().await {
                Some(frame) => {
                    self.budget.refill();
                    if let Ok(data) = frame?.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

/// A connection for gRPC, for many calls at once.
#[derive(Clone, Debug)]
pub(super) struct Grpc {
    sender: http2::SendRequest<tonic::body::Body>,
}

impl tower_service::Service<http::Request<tonic::body::Body>> for Grpc {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

impl Grpc {
    pub(super) async fn connect(path: &Path) -> Result<Self, Failure> {
        let stream = within(UnixStream::connect(path)).await?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = within(handshake).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    async fn ready<Q, A>(
        &self,
        method: &str,
    ) -> Result<(tonic::client::Grpc<Self>, PathAndQuery, Messages<Q, A>), Status> {
        let origin = http::Uri::from_static("http://localhost");
        let mut grpc = tonic::client::Grpc::with_origin(self.clone(), origin)
            .max_decoding_message_size(MOST_BYTES);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::try_from(method).map_err(|e| Status::internal(e.to_string()))?;
        Ok((grpc, path, Messages(PhantomData)))
    }

    /// One question, one answer, in time.
    pub(super) async fn ask<Q, A>(&self, method: &str, question: Request<Q>) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let call = async {
            let (mut grpc, path, messages) = self.ready(method).await?;
            Ok(grpc.unary(question, path, messages).await?.into_inner())
        };
        let late = || Status::deadline_exceeded(format!("no answer within {} s", CALL.as_secs()));
        tokio::time::timeout(CALL, call)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// One question, answers as they come, until the receiver is dropped.
    pub(super) fn subscribe<Q, A>(
        &self,
        method: String,
        question: Q,
    ) -> mpsc::Receiver<Result<A, Status>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (into, answers) = mpsc::channel(MOST_EVENTS);
        let grpc = self.clone();
        tokio::task::spawn_local(async move {
            let mut stream = tokio::select! {
                stream = grpc.stream(&method, Request::new(question)) => match stream {
                    Ok(stream) => stream,
                    Err(status) => {
                        into.send(Err(status)).await.ok();
                        return;
                    }
                },
                () = into.closed() => return,
            };
            loop {
                let next = tokio::select! {
                    next = stream.message() => next.transpose(),
                    () = into.closed() => return,
                };
                let Some(next) = next else { return };
                if into.send(next).await.is_err() {
                    return;
                }
            }
        });
        answers
    }

    /// One question, answers without end. Waits until the server says that it answers, which may be with the first
    /// of them.
    pub(super) async fn stream<Q, A>(
        &self,
        method: &str,
        question: Request<Q>,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, path, messages) = self.ready(method).await?;
        let answer = grpc.server_streaming(question, path, messages).await?;
        Ok(answer.into_inner())
    }
}

/// Protocol buffers whose answers are counted before anything is made of them: two bytes on the line may become
/// hundreds in memory.
struct Messages<Q, A>(PhantomData<fn(Q) -> A>);
struct Questions<Q>(PhantomData<fn(Q)>);
struct Answers<A>(PhantomData<fn() -> A>);

impl<Q: Message + 'static, A: Message + Default + 'static> Codec for Messages<Q, A> {
    type Encode = Q;
    type Decode = A;
    type Encoder = Questions<Q>;
    type Decoder = Answers<A>;

    fn encoder(&mut self) -> Questions<Q> {
        Questions(PhantomData)
    }

    fn decoder(&mut self) -> Answers<A> {
        Answers(PhantomData)
    }
}

impl<Q: Message + 'static> Encoder for Questions<Q> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, question: Q, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let done = question.encode(into);
        done.map_err(|error| Status::internal(error.to_string()))
    }
}

impl<A: Message + Default + 'static> Decoder for Answers<A> {
    type Item = A;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<A>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        if fields(&bytes)? > MOST_OBJECTS {
            return Err(Status::resource_exhausted(format!(
                "the answer has more than {MOST_OBJECTS} parts"
            )));
        }
        let answer = A::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(answer))
    }
}

/// How many fields a message has, not counting those of its parts.
fn fields(mut bytes: &[u8]) -> Result<u64, Status> {
    let malformed = |error: prost::DecodeError| Status::internal(error.to_string());
    let mut fields = 0;
    while bytes.has_remaining() {
        let (tag, wire) = decode_key(&mut bytes).map_err(malformed)?;
        skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(malformed)?;
        fields += 1;
    }
    Ok(fields)
}

/// What a session that goes on until something fails gives.
pub(super) type Session = Result<Infallible, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        let why = Failure::new(format!("bad\n\u{1b}[2J{}", "x".repeat(1 << 20)));
        assert_eq!(why.0.chars().count(), MOST_WHY);
        assert!(why.0.starts_with("bad  [2Jxxx"), "{}", why.0);
    }

    #[test]
    fn bytes_and_objects_are_counted() {
        let budget = Budget::new();
        assert!(budget.spend(&vec![b'x'; MOST_BYTES]).is_ok());
        assert!(budget.spend(b"x").is_err());
        budget.refill();
        assert!(budget.spend(&b"{},".repeat(MOST_OBJECTS as usize)).is_ok());
        assert!(budget.spend(b"[").is_err());
    }

    #[test]
    fn fields_are_counted_without_what_is_in_them() {
        // Field 1, a message of three bytes; field 2, a number.
        assert_eq!(fields(&[0x0a, 3, 0x0a, 1, b'x', 0x10, 7]).ok(), Some(2));
        assert!(fields(&[0x0a, 200]).is_err(), "cut off");
        assert_eq!(fields(&[]).ok(), Some(0));
    }
}
