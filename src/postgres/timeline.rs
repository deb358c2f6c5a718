//! Which of several servers has taken over last.
//!
//! A standby that is promoted begins a timeline, one higher than that of its primary. A primary that was given up
//! and comes back is on the old one: whatever it takes, its successor never has. So once a server of a higher
//! timeline has been seen, those of lower ones are not used any more. Who has not seen it yet is not stopped: that
//! is for whoever promotes (a primary whose commits wait for its standby makes nothing durable alone).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio_postgres::{Client, Error, SimpleQueryMessage};

const TIMELINE: &str = include_str!("sql/statements/calls/timeline.sql");

/// The highest timeline of one address's servers that was seen.
#[derive(Debug, Default)]
pub(super) struct Timelines(Mutex<Highest>);

#[derive(Debug, Default)]
struct Highest {
    timeline: u32,
    /// When it was seen first, where there was another one before.
    taken_over: Option<Instant>,
}

impl Timelines {
    /// Whether no other server is known to have taken over from this one. One that does not say is believed.
    pub(super) async fn admit(&self, client: &Client) -> Result<bool, Error> {
        // Typed by nobody, so that any pooler in between passes it on.
        match client.simple_query(TIMELINE).await {
            Ok(answer) => Ok(timeline_in(&answer).is_none_or(|timeline| self.see(timeline))),
            Err(error) if error.as_db_error().is_some() => {
                tracing::debug!(%error, "a server of Postgres does not say which timeline it is on");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a connection that was made then may be to a server from which another one has taken over.
    pub(super) fn is_outdated(&self, made: Instant) -> bool {
        self.highest().taken_over.is_some_and(|taken_over| made < taken_over)
    }

    fn see(&self, timeline: u32) -> bool {
        let mut highest = self.highest();
        if timeline < highest.timeline {
            tracing::warn!(
                timeline,
                newest = highest.timeline,
                "a server of Postgres takes writes from which another one has taken over: it is not used, and should be stopped"
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
