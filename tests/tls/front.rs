//! Somebody on the way to Postgres. What a client does with it is counted, and whatever a client tells it is passed on,
//! so that one that is taken in by it gets its answers.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// The messages that a connection can begin with, by the number that follows their length.
const ASKS_FOR_TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The first byte of a record of a TLS handshake.
const HANDSHAKE: u8 = 22;

/// What it does.
#[derive(Clone)]
pub(crate) enum Manner {
    /// Passes on every byte: the server itself says whether it has TLS.
    Passes(SocketAddr),
    /// The same, for a server without TLS.
    PassesPlain(PathBuf),
    /// Says that there is no TLS here. The server behind it takes what is not encrypted.
    Denies(PathBuf),
    /// Ends TLS itself, with a certificate of its own. The server behind it takes what is not encrypted.
    Ends(TlsAcceptor, PathBuf),
}

/// What clients did. Each connection is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Began TLS with the server.
    pub(crate) encrypted: u32,
    /// Said something that everybody on the way can read.
    pub(crate) plain: u32,
    /// Told the one in the middle, within TLS.
    pub(crate) deceived: u32,
    /// Hung up before they had said anything.
    pub(crate) hung_up: u32,
}

pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    seen: Mutex<Seen>,
}

impl Front {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { manner: Mutex::new(manner), seen: Mutex::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    // Whatever breaks a connection, the client has to cope with it.
                    connections.spawn(async move { drop(shared.serve(stream).await) });
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Self { address, shared, _accepting: accepting }
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.shared.seen.lock().unwrap()
    }

    /// What it does with connections that come from now on.
    pub(crate) fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let mut first = [0; 8];
        if client.read_exact(&mut first).await.is_err() {
            self.count(|seen| seen.hung_up += 1);
            return Ok(());
        }
        let asked = first == ASKS_FOR_TLS;
        let manner = self.manner.lock().unwrap().clone();
        match manner {
            Manner::Passes(address) => {
                let server = TcpStream::connect(address).await?;
                server.set_nodelay(true)?;
                self.pass(client, first, asked, server).await
            }
            Manner::PassesPlain(socket) => {
                self.pass(client, first, asked, UnixStream::connect(socket).await?).await
            }
            Manner::Denies(socket) => {
                let mut server = UnixStream::connect(socket).await?;
                if asked {
                    client.write_all(b"N").await?;
                } else {
                    server.write_all(&first).await?;
                }
                self.told(client, server, |seen| seen.plain += 1).await
            }
            Manner::Ends(acceptor, socket) => {
                if !asked {
                    self.count(|seen| seen.plain += 1);
                    return Ok(());
                }
                client.write_all(b"S").await?;
                let Ok(inside) = acceptor.accept(client).await else {
                    self.count(|seen| seen.hung_up += 1);
                    return Ok(());
                };
                let server = UnixStream::connect(socket).await?;
                self.told(inside, server, |seen| seen.deceived += 1).await
            }
        }
    }

    async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut client: TcpStream,
        first: [u8; 8],
        asked: bool,
        mut server: S,
    ) -> std::io::Result<()> {
        server.write_all(&first).await?;
        if !asked {
            self.count(|seen| seen.plain += 1);
            copy_bidirectional(&mut client, &mut server).await?;
            return Ok(());
        }
        let mut answer = [0];
        server.read_exact(&mut answer).await?;
        client.write_all(&answer).await?;
        let mut next = [0];
        if client.read_exact(&mut next).await.is_err() {
            self.count(|seen| seen.hung_up += 1);
            return Ok(());
        }
        self.count(|seen| match (answer, next) {
            ([b'S'], [HANDSHAKE]) => seen.encrypted += 1,
            _ => seen.plain += 1,
        });
        server.write_all(&next).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    /// Counts a client that says something, and passes it on.
    async fn told<C, S>(
        &self,
        mut client: C,
        mut server: S,
        count: impl FnOnce(&mut Seen),
    ) -> std::io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut next = [0];
        if client.read_exact(&mut next).await.is_err() {
            self.count(|seen| seen.hung_up += 1);
            return Ok(());
        }
        self.count(count);
        server.write_all(&next).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    fn count(&self, count: impl FnOnce(&mut Seen)) {
        count(&mut self.seen.lock().unwrap());
    }
}
