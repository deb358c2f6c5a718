//! Heartbeats: while calls go on, their holds stand, and the ledger knows what was seen of them.
//!
//! A hold stands for a short time only, so that what a process that was killed had set aside comes back soon. For
//! calls that take longer somebody must say that they go on ([`Heartbeats::beat`], to be called several times in that
//! time). What was seen by the last heartbeat is what such a call is charged if its process dies.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};

use crate::{
    context::Call,
    domain::{
        credits::Credits,
        hold::Heartbeat,
        ids::{OrganizationId, RequestId},
    },
    store::{Ledger, StoreError},
};

/// Knows the calls that are open. Cheap to clone; clones know the same.
#[derive(Clone)]
pub struct Heartbeats(Arc<[Mutex<Open>; SHARDS]>);

type Open = HashMap<RequestId, (OrganizationId, Call)>;

// Enough that calls that begin and end at once seldom meet.
const SHARDS: usize = 64;
/// How many holds one statement renews: it has them locked.
const TOGETHER_MAX: usize = 256;
/// How many statements are on their way at once: organizations may be in different databases, and one that does not
/// answer must not hold up the others.
const AT_ONCE: usize = 16;

impl Default for Heartbeats {
    /// Of no calls yet.
    fn default() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Mutex::default())))
    }
}

impl Heartbeats {
    /// Tells the ledger of all open calls that have a hold, which then stands for `ttl` from now. How many
    /// holds stand.
    ///
    /// # Errors
    /// The ledger is away for one of the organizations, after all were tried; the next heartbeat makes it good.
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

    /// What was seen of each call with a hold, by organization.
    pub(super) fn now(&self) -> HashMap<OrganizationId, Vec<Heartbeat>> {
        let mut beats: HashMap<_, Vec<_>> = HashMap::new();
        for shard in self.0.iter() {
            for (organization, call) in lock(shard).values() {
                if let Some(beat) = beat_of(call) {
                    beats.entry(*organization).or_default().push(beat);
                }
            }
        }
        beats
    }

    pub(super) fn watch(&self, organization: OrganizationId, call: &Call) -> Beating {
        let request_id = call.request_id();
        lock(self.shard(request_id)).insert(request_id, (organization, call.clone()));
        Beating { heartbeats: self.clone(), request_id }
    }

    fn shard(&self, request_id: RequestId) -> &Mutex<Open> {
        // The last byte of a version 7 UUID is random.
        let [.., last] = request_id.as_uuid().into_bytes();
        let [first, ..] = &*self.0;
        self.0.get(usize::from(last) % SHARDS).unwrap_or(first)
    }
}

/// How many of these holds stand.
async fn renew(
    ledger: &dyn Ledger,
    organization: OrganizationId,
    beats: Vec<Heartbeat>,
    ttl: Duration,
) -> Result<usize, StoreError> {
    let renewed = ledger.renew(organization, &beats, ttl).await?.len();
    let lost = beats.len().saturating_sub(renewed);
    if lost > 0 {
        // Ended meanwhile, or expired: then its finish comes late, and charges the rest.
        tracing::debug!(organization_id = %organization, calls = lost, "calls go on whose holds do not stand any more");
    }
    Ok(renewed)
}

fn beat_of(call: &Call) -> Option<Heartbeat> {
    let hold = call.hold()?;
    let seen = call.seen();
    // What fits no price now fits the finish even less; until then it is nothing that could be charged.
    let used = seen.and_then(|seen| hold.price.cost(&seen).ok()).unwrap_or(Credits::ZERO);
    let tokens = seen.map_or(0, |seen| i64::try_from(seen.total()).unwrap_or(i64::MAX));
    Some(Heartbeat { request_id: call.request_id(), used, tokens })
}

// An entry goes in and out whole.
fn lock(shard: &Mutex<Open>) -> MutexGuard<'_, Open> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: usize = self.0.iter().map(|shard| lock(shard).len()).sum();
        f.debug_struct("Heartbeats").field("open", &open).finish()
    }
}

/// One open call.
pub(super) struct Beating {
    heartbeats: Heartbeats,
    request_id: RequestId,
}

impl Drop for Beating {
    fn drop(&mut self) {
        lock(self.heartbeats.shard(self.request_id)).remove(&self.request_id);
    }
}

#[cfg(test)]
#[path = "heartbeats_tests.rs"]
mod tests;
