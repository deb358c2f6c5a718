//! Lookups in the directory that callers share: while an organization moves, all its calls look it up again and
//! again.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::domain::ids::OrganizationId;

const STRIPES: usize = 16;
/// How long a lookup is remembered. No caller has waited longer.
const REMEMBERED: Duration = Duration::from_secs(30);

/// When each organization was last looked up. Organizations share a few locks.
#[derive(Debug, Default)]
pub(super) struct Lookups([Mutex<Vec<(OrganizationId, Instant)>>; STRIPES]);

impl Lookups {
    /// Looks the organization up, unless another caller has begun a lookup since `asked`. Then this waits until that
    /// lookup has ended, whether it succeeds or fails. Returns whether this caller looked.
    pub(super) async fn share<E>(
        &self,
        id: OrganizationId,
        asked: Instant,
        look: impl Future<Output = Result<(), E>>,
    ) -> Result<bool, E> {
        let stripe = usize::from(id.as_uuid().as_bytes().last().copied().unwrap_or_default());
        let Some(stripe) = self.0.get(stripe % STRIPES) else { return look.await.map(|()| true) };
        let mut begun = stripe.lock().await;
        begun.retain(|(_, at)| at.elapsed() < REMEMBERED);
        if begun.iter().any(|(other, at)| *other == id && *at >= asked) {
            return Ok(false);
        }
        begun.retain(|(other, _)| *other != id);
        begun.push((id, Instant::now()));
        look.await.map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_look_and_its_failure() {
        let lookups = Lookups::default();
        let (id, looked) = (OrganizationId::new(uuid::Uuid::now_v7()), AtomicUsize::new(0));
        for outcome in [Ok(()), Err("away")] {
            let asked = Instant::now();
            let ask = || {
                lookups.share(id, asked, async {
                    looked.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    outcome
                })
            };
            let answers = [ask(), ask(), ask()];
            let answers = futures_util::future::join_all(answers).await;
            assert_eq!(answers, [outcome.map(|()| true), Ok(false), Ok(false)]);
        }
        assert_eq!(looked.load(Ordering::Relaxed), 2);
    }
}
