//! When to stop: SIGTERM or SIGINT once means in order, twice means at once.

use std::{io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals of this process that mean "stop", from now on ours.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// The exit status of a process that was told twice.
    const AT_ONCE: i32 = 130;

    /// Takes the signals over.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// A token that is cancelled by the first signal. The second one ends the process on the spot.
    pub(crate) fn watch(mut self) -> CancellationToken {
        let stop = CancellationToken::new();
        let told = stop.clone();
        // Ends with the process: there is nothing to wait for.
        drop(tokio::spawn(async move {
            self.next().await;
            tracing::info!("stopping: open calls may end; a second signal stops at once");
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
