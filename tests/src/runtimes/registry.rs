//! A registry of one image: a runtime that pulled an image knows its digest.

use super::image;
use super::place::Place;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// It listens on an address of this machine alone, until it is dropped.
pub(super) struct Registry {
    port: u16,
    digest: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    pub(super) fn start(place: &Place) -> Self {
        let (archive, digest) = image::archive(place, image::NAME);
        let blobs = archive.with_extension("").join("blobs/sha256");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stop, digest) = (Arc::clone(&stop), digest.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (blobs, digest) = (blobs.clone(), digest.clone());
                    std::thread::spawn(move || answer(&stream, &blobs, &digest));
                }
            }
        });
        Self {
            port,
            digest,
            stop,
            thread: Some(thread),
        }
    }

    /// The name of the image that it has.
    pub(super) fn name(&self) -> String {
        format!("127.0.0.1:{}/busybox:test", self.port)
    }

    /// The digest of its manifest.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Answers the one request of a connection; whoever breaks it off has had enough.
fn answer(stream: &TcpStream, blobs: &Path, digest: &str) {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let wanted = path.rsplit('/').next().unwrap_or("");
    let wanted = if wanted == "test" { digest } else { wanted };
    let (kind, blob): (_, Option<PathBuf>) = if path == "/v2/" {
        ("application/json", None)
    } else {
        let manifest = path.contains("/manifests/");
        let kind = if manifest {
            "application/vnd.oci.image.manifest.v1+json"
        } else {
            "application/octet-stream"
        };
        let hex = wanted.strip_prefix("sha256:").unwrap_or("none");
        (kind, Some(blobs.join(hex)))
    };
    let body = blob.map_or(Ok(b"{}".to_vec()), std::fs::read);
    let status = if body.is_ok() {
        "200 OK"
    } else {
        "404 Not Found"
    };
    let body = body.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {wanted}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes()).ok();
    if method != "HEAD" {
        stream.write_all(&body).ok();
    }
}
