//! When to stop: the first SIGTERM or SIGINT starts an orderly shutdown, the second ends the process at once.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Listens for the signals that mean "stop".
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// The exit status after a second signal.
    const AT_ONCE: i32 = 130;

    /// Begins to listen. From now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// A token that the first signal cancels. The second signal ends the process at once.
    pub(crate) fn watch(mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        let told = stop.clone();
        // The task ends with the process, so nothing waits for it.
        drop(tokio::spawn(async move {
            self.next().await;
            tracing::info!("stopping: open calls may end first; a second signal stops at once");
            told.cancel();
            self.next().await;
            tracing::warn!("stopped at once; holds of calls that were cut will expire");
            process::exit(Self::AT_ONCE);
        }));
        stop
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
