//! A client on bare TCP, which can do what a well-behaved HTTP library would not.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::SocketAddr,
};

use bytes::{Buf, BytesMut};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::timeout,
};

use super::DEADLINE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    unread: BytesMut,
}

/// The head of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
}

/// An answer, as far as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Its last byte came, by its declared length or its last chunk.
    pub(crate) whole: bool,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.unwrap()
    }

    pub(crate) async fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unread: BytesMut::new() })
    }

    /// One that takes in no more than the kernel's least.
    pub(crate) async fn narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self { stream: socket.connect(address).await.unwrap(), unread: BytesMut::new() }
    }

    /// Both directions, bare.
    pub(crate) fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        self.stream.split()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// As [`send`](Self::send), to somebody who may have stopped listening.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads what there is into `unread`. `false` at the end of the connection, however it came.
    async fn fill(&mut self) -> bool {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await;
        match read.expect("the gateway says nothing") {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Reads until `count` bytes are there; fewer where the connection ends before.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count && self.fill().await {}
        let count = count.min(self.unread.len());
        self.unread.split_to(count).to_vec()
    }

    /// Reads up to and with `end`; everything where it does not come.
    pub(crate) async fn read_to(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let at = self.unread.windows(end.len()).position(|window| window == end);
            if let Some(at) = at {
                return self.unread.split_to(at + end.len()).to_vec();
            }
            if !self.fill().await {
                return self.unread.split().to_vec();
            }
        }
    }

    /// The next answer's head; `None` where the connection ends before it.
    pub(crate) async fn head(&mut self) -> Option<Head> {
        let head = self.read_to(b"\r\n\r\n").await;
        let text = String::from_utf8(head).unwrap();
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Some(Head { status, headers: headers.collect() })
    }

    /// The rest of the answer whose head this is.
    pub(crate) async fn rest(&mut self, head: Head) -> Answer {
        let Head { status, headers } = head;
        let (mut body, mut whole) = (Vec::new(), false);
        if let Some(length) = headers.get("content-length") {
            let length = length.parse().unwrap();
            body = self.read(length).await;
            whole = body.len() == length;
        } else {
            assert_eq!(headers.get("transfer-encoding").map(String::as_str), Some("chunked"));
            loop {
                let line = String::from_utf8(self.read_to(b"\r\n").await).unwrap();
                let Ok(size) = usize::from_str_radix(line.trim_end(), 16) else { break };
                let mut chunk = self.read(size + 2).await;
                let complete = chunk.len() == size + 2;
                chunk.truncate(size);
                body.extend_from_slice(&chunk);
                whole = complete && size == 0;
                if size == 0 || !complete {
                    break;
                }
            }
        }
        Answer { status, headers, body, whole }
    }

    /// The next answer; `None` where the connection ends before it.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        Some(self.rest(head).await)
    }

    /// Goes by a reset: nothing more is sent, received or acknowledged.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Says that no more is coming, and waits for the gateway to hang up.
    pub(crate) async fn leave(mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        while self.fill().await {
            self.unread.advance(self.unread.len());
        }
    }

    /// Reads until the gateway hangs up.
    pub(crate) async fn drain(&mut self) {
        while self.fill().await {
            self.unread.advance(self.unread.len());
        }
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The stream came to the end that tells a client that it has everything.
    pub(crate) fn has_end(&self) -> bool {
        self.whole
            && (self.text().ends_with("data: [DONE]\n\n")
                || self.text().ends_with("data: {\"type\":\"message_stop\"}\n\n"))
    }

    /// The last event is an error.
    pub(crate) fn ends_in_error(&self) -> bool {
        let last = self.text().trim_end().rsplit("\n\n").next().unwrap();
        let data = last.lines().find_map(|line| line.strip_prefix("data: "));
        self.whole && data.is_some_and(|data| data.contains("\"error\":{"))
    }
}
