//! A proxy on a unix socket that counts round trips: bytes of the client after bytes of the server.
//!
//! It must run in the same thread as the client: then a client that has had its turns and sent nothing waits.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const TURNS: usize = 200;

#[derive(Clone, Default)]
struct Count {
    trips: Arc<AtomicU64>,
    answered: Arc<AtomicBool>,
}

pub(crate) struct Proxy {
    folder: PathBuf,
    count: Count,
}

impl Proxy {
    pub(crate) fn before(server: &Path) -> Self {
        let folder =
            PathBuf::from(format!("/tmp/tollgate-proxy-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).unwrap();
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).unwrap();
        let count = Count { answered: Arc::new(AtomicBool::new(true)), ..Count::default() };
        let (server, counted) = (server.join(".s.PGSQL.5432"), count.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, counted.clone()));
                tokio::spawn(back(from_server, to_client, counted.clone()));
            }
        });
        Self { folder, count }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many round trips this takes.
    pub(crate) async fn trips<T>(&self, work: impl Future<Output = T>) -> (T, u64) {
        let before = self.count.trips.load(Ordering::SeqCst);
        let result = work.await;
        (result, self.count.trips.load(Ordering::SeqCst) - before)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Count) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if count.answered.swap(false, Ordering::SeqCst) {
            count.trips.fetch_add(1, Ordering::SeqCst);
        }
        to.write_all(&buffer[..length]).await.unwrap();
    }
}

async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Count) {
    let mut buffer = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // Answers come late, so that what the client sends without waiting for them comes before them. It takes a few
        // turns of the scheduler to make up a statement, to write it and to have it read here.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        count.answered.store(true, Ordering::SeqCst);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
