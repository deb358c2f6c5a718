//! TLS in front of a server of HTTP, and what came through.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    authority::{Certificate, Flaw, HOST},
    harness::until,
};

/// What clients did. Each connection is counted once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Sent something, within TLS; by which protocol they did.
    pub(crate) inside: Vec<String>,
    /// Hung up before they had said anything.
    pub(crate) hung_up: u32,
}

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _accepting: JoinSet<()>,
}

impl Door {
    /// In front of whoever listens at `target`.
    pub(crate) async fn open(flaw: Flaw, protocols: &[&str], target: SocketAddr) -> Self {
        let acceptor = Certificate::with(flaw).acceptor(protocols);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut accepting = JoinSet::new();
        let counted = Arc::clone(&seen);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&counted));
                connections.spawn(async move {
                    let hung_up = || seen.lock().unwrap().hung_up += 1;
                    let Ok(mut inside) = acceptor.accept(stream).await else { return hung_up() };
                    let mut first = [0];
                    if inside.read_exact(&mut first).await.is_err() {
                        return hung_up();
                    }
                    let spoken = inside.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
                    seen.lock().unwrap().inside.push(String::from_utf8(spoken).unwrap());
                    let mut server = TcpStream::connect(target).await.unwrap();
                    server.write_all(&first).await.unwrap();
                    // However it breaks off, both sides notice.
                    drop(copy_bidirectional(&mut inside, &mut server).await);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, _accepting: accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{HOST}:{}", self.address.port())
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Some came, and nobody said anything.
    pub(crate) async fn was_told_nothing(&self, what: &str) {
        // The door may notice it a moment later than we do.
        until(&format!("{what}: somebody has come"), async || self.seen() != Seen::default()).await;
        assert_eq!(self.seen().inside, [""; 0], "{what}");
    }
}

/// A server that answers every request with a redirect there.
pub(crate) async fn redirecting(status: u16, location: String) -> (SocketAddr, JoinSet<()>) {
    let answer =
        format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            connections.spawn(async move {
                let mut request = [0; 1 << 13];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    drop(stream.write_all(answer.as_bytes()).await);
                }
            });
        }
    });
    (address, accepting)
}
