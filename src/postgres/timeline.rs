//! Which of several servers was promoted last.
//!
//! A standby that is promoted begins a new timeline, one higher than that of its primary. An old primary that comes
//! back is still on the old timeline, and its successor never gets what is written there. So once a server on a higher
//! timeline has been seen, servers on lower timelines are not used any more. A gateway that has not seen the higher
//! timeline yet may still use the old primary. Whoever promotes a standby must prevent that, for example with
//! synchronous replication: then the old primary cannot commit without its standby.

use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::{Client, Error, SimpleQueryMessage};

const TIMELINE: &str = include_str!("sql/statements/calls/timeline.sql");

/// The highest timeline seen on the servers of one address.
#[derive(Debug, Default)]
pub(super) struct Timelines(Mutex<Highest>);

#[derive(Debug, Default)]
struct Highest {
    timeline: u32,
    /// When this timeline was first seen; `None` if no lower one was seen before.
    taken_over: Option<Instant>,
}

impl Timelines {
    /// Whether this server may be used: none on a higher timeline is known. A server that does not tell its timeline
    /// is used, too.
    pub(super) async fn admit(&self, client: &Client) -> Result<bool, Error> {
        // A simple query, which every pooler passes on.
        match client.simple_query(TIMELINE).await {
            Ok(answer) => Ok(timeline_in(&answer).is_none_or(|timeline| self.see(timeline))),
            Err(error) if error.as_db_error().is_some() => {
                tracing::debug!(%error, "a Postgres server does not tell its timeline; it is used all the same");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a connection made at that moment may be to a superseded server.
    pub(super) fn is_outdated(&self, made: Instant) -> bool {
        self.highest().taken_over.is_some_and(|taken_over| made < taken_over)
    }

    fn see(&self, timeline: u32) -> bool {
        let mut highest = self.highest();
        if timeline < highest.timeline {
            tracing::warn!(
                timeline,
                newest = highest.timeline,
                "a superseded Postgres server still accepts writes: it is not used, and should be stopped"
            );
            return false;
        }
        if timeline > highest.timeline {
            let known = highest.timeline > 0;
            highest.timeline = timeline;
            highest.taken_over = known.then(Instant::now);
        }
        true
    }

    fn highest(&self) -> MutexGuard<'_, Highest> {
        self.0.lock()
    }
}

fn timeline_in(answer: &[SimpleQueryMessage]) -> Option<u32> {
    let row = answer.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
    })?;
    row.get(0)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_from_which_another_has_taken_over_is_not_used_any_more() {
        let timelines = Timelines::default();
        let before = Instant::now();
        assert!(timelines.see(3) && timelines.see(3));
        assert!(!timelines.is_outdated(before), "the first one has taken over from nobody");
        assert!(timelines.see(4));
        assert!(timelines.is_outdated(before) && !timelines.is_outdated(Instant::now()));
        assert!(!timelines.see(3) && timelines.see(4));
    }
}
