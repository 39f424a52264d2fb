//! Servers on sockets, which answer what a test says.

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost::bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// After which time one that said "later" is asked again.
const LATER: Duration = Duration::from_millis(10);

/// What a server has to say.
pub(super) enum Answer {
    /// This message, encoded.
    Message(Vec<u8>),
    /// That it does not know the method.
    Unimplemented,
    /// Nothing yet.
    Later,
}

/// A server in threads that nobody waits for; its socket goes with it.
pub(super) struct Server {
    folder: TempDir,
}

impl Server {
    /// Each connection is served by `serve`.
    pub(super) fn start(serve: impl Fn(UnixStream) + Send + Sync + Clone + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { folder }
    }

    /// An HTTP server: what `answer` gives for a path is the body, in JSON. None: it says nothing more, for ever.
    pub(super) fn http(
        answer: impl Fn(&str) -> Option<String> + Send + Sync + Clone + 'static,
    ) -> Self {
        Self::start(move |mut stream| {
            let path = request(&mut stream);
            match answer(&path) {
                Some(body) => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    stream.write_all(head.as_bytes()).ok();
                    stream.write_all(body.as_bytes()).ok();
                }
                None => {
                    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    stream.write_all(head).ok();
                    wait(&mut stream);
                }
            }
        })
    }

    /// A gRPC server: the recorded answer of each method, encoded. A method without one is not implemented.
    pub(super) fn grpc(recorded: HashMap<&'static str, Vec<u8>>) -> Self {
        Self::grpc_of(move |path, _| match recorded.get(method(path)) {
            Some(message) => Answer::Message(message.clone()),
            None => Answer::Unimplemented,
        })
    }

    /// The same, which answers by the path of the method and the question, encoded.
    pub(super) fn grpc_of(
        answers: impl Fn(&str, &[u8]) -> Answer + Send + Sync + Clone + 'static,
    ) -> Self {
        Self::start(move |stream| {
            stream.set_nonblocking(true).unwrap();
            let executor = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let answers = answers.clone();
            executor.block_on(async move {
                let stream = tokio::net::UnixStream::from_std(stream).unwrap();
                let service =
                    hyper::service::service_fn(move |request: http::Request<Incoming>| {
                        let answers = answers.clone();
                        async move {
                            let path = request.uri().path().to_owned();
                            let body = request.into_body().collect().await?.to_bytes();
                            // Before the question are five bytes about its length.
                            let question = body.get(5..).unwrap_or_default();
                            let message = loop {
                                match answers(&path, question) {
                                    Answer::Message(message) => break Some(message),
                                    Answer::Unimplemented => break None,
                                    Answer::Later => tokio::time::sleep(LATER).await,
                                }
                            };
                            Ok::<_, hyper::Error>(answer(message))
                        }
                    });
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The name of the method at the end of its path.
pub(super) fn method(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

type Frames =
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, hyper::Error>>>>;

fn answer(message: Option<Vec<u8>>) -> http::Response<Frames> {
    // 12: not implemented.
    let status = if message.is_some() { "0" } else { "12" };
    let mut frames = Vec::new();
    if let Some(message) = message {
        let mut bytes = BytesMut::from(&[0_u8][..]);
        bytes.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&message);
        frames.push(Ok(Frame::data(bytes.freeze())));
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(status));
    frames.push(Ok(Frame::trailers(trailers)));
    http::Response::builder()
        .header("content-type", "application/grpc")
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap()
}

/// An answer as it goes over the line.
pub(super) fn recorded(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

/// The path of the request.
fn request(stream: &mut UnixStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Until the other side goes.
pub(super) fn wait(stream: &mut UnixStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}
