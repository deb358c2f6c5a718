//! Heartbeats: they renew the holds of open calls, and tell the ledger what was seen of each answer so far.
//!
//! A hold has a short time to live, so that the holds of a killed process expire soon. Longer calls need heartbeats:
//! call [`Heartbeats::beat`] several times within that time. If the process dies, a call is charged what its last
//! heartbeat had seen.

use std::{collections::HashMap, fmt, time::Duration};

use futures_util::{StreamExt, stream};

use super::registry::{Entry, Registry};
use crate::{
    context::Call,
    domain::{credits::Credits, hold::Heartbeat, ids::OrganizationId},
    store::{Ledger, StoreError},
};

/// Keeps track of the open calls. Cheap to clone; clones share the calls.
#[derive(Clone, Default)]
pub struct Heartbeats(Registry<Open>);

type Open = (OrganizationId, Call);

/// An open call. Heartbeats include it until this is dropped.
pub(super) type Beating = Entry<Open>;

/// How many holds one statement renews. A bound, because the statement locks their rows.
const TOGETHER_MAX: usize = 256;
/// How many statements run at once. More than one, because organizations may be in different databases, and a database
/// that does not answer must not delay the others.
const AT_ONCE: usize = 16;

impl Heartbeats {
    /// Renews the holds of all open calls, for `ttl` from now. Returns how many holds were renewed.
    ///
    /// # Errors
    /// The ledger did not answer for at least one organization. All organizations were tried; the next heartbeat tries
    /// again.
    pub async fn beat(&self, ledger: &dyn Ledger, ttl: Duration) -> Result<usize, StoreError> {
        let beats = self.now().into_iter().flat_map(|(organization, beats)| {
            let some = beats.chunks(TOGETHER_MAX).map(<[_]>::to_vec).collect::<Vec<_>>();
            some.into_iter().map(move |some| (organization, some))
        });
        stream::iter(beats)
            .map(|(organization, beats)| renew(ledger, organization, beats, ttl))
            .buffer_unordered(AT_ONCE)
            .fold(Ok(0_usize), |sum, renewed| async move {
                match (sum, renewed) {
                    (Ok(sum), Ok(renewed)) => Ok(sum.saturating_add(renewed)),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                }
            })
            .await
    }

    /// The heartbeats of all calls with a hold, by organization.
    pub(super) fn now(&self) -> HashMap<OrganizationId, Vec<Heartbeat>> {
        let mut beats: HashMap<_, Vec<_>> = HashMap::new();
        for calls in self.0.each() {
            for (organization, call) in calls.values() {
                if let Some(beat) = beat_of(call) {
                    beats.entry(*organization).or_default().push(beat);
                }
            }
        }
        beats
    }

    pub(super) fn watch(&self, organization: OrganizationId, call: &Call) -> Beating {
        // By request, because the calls of one organization that begin or end at the same time need no common lock.
        self.0.enter(call.request_id().as_uuid(), (organization, call.clone()))
    }
}

/// Renews these holds. Returns how many were renewed.
async fn renew(
    ledger: &dyn Ledger,
    organization: OrganizationId,
    beats: Vec<Heartbeat>,
    ttl: Duration,
) -> Result<usize, StoreError> {
    let renewed = ledger.renew(organization, &beats, ttl).await?.len();
    let lost = beats.len().saturating_sub(renewed);
    if lost > 0 {
        // A hold that was not renewed has ended meanwhile or has expired. If it expired, the late finish charges the
        // rest.
        tracing::debug!(
            organization_id = %organization,
            calls = lost,
            "holds of open calls could not be renewed: the calls have just ended, or the holds have expired"
        );
    }
    Ok(renewed)
}

fn beat_of(call: &Call) -> Option<Heartbeat> {
    let hold = call.hold()?;
    let seen = call.seen();
    // If the cost is out of range, the heartbeat says zero. The finish, with more usage, finds it out of range, too.
    let used = seen.and_then(|seen| hold.price.cost(&seen).ok()).unwrap_or(Credits::ZERO);
    let tokens = seen.map_or(0, |seen| i64::try_from(seen.total()).unwrap_or(i64::MAX));
    Some(Heartbeat { request_id: call.request_id(), used, tokens })
}

impl fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeats").field("open", &self.0.len()).finish()
    }
}

#[cfg(test)]
#[path = "heartbeats_tests.rs"]
mod tests;
