//! The queue of finishes of one organization.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::oneshot;

use super::{Batches, Coalescer, Ended, Shared, shared};
use crate::{
    context::Tenant,
    domain::{
        finish::{Finish, Finished, Record},
        ids::OrganizationId,
    },
    store::{Journal, StoreError, StoreFuture},
};

/// Finishes that arrived while a statement was running.
#[derive(Default)]
pub(super) struct Finishes {
    pending: VecDeque<Pending>,
}

struct Pending {
    ended: Ended,
    written: oneshot::Sender<Result<Finished, StoreError>>,
}

impl Finishes {
    /// The next finishes that fit into one statement: at least one, if any is pending.
    fn take(&mut self, batch_max: usize, bytes_max: usize) -> Vec<Pending> {
        let (mut bytes, mut batch) = (0_usize, Vec::new());
        while batch.len() < batch_max
            && let Some(next) = self.pending.front()
        {
            bytes = bytes.saturating_add(text_bytes(&next.ended.finish));
            if !batch.is_empty() && bytes > bytes_max {
                break;
            }
            batch.extend(self.pending.pop_front());
        }
        batch
    }
}

fn text_bytes(finish: &Finish) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let of = |record: &Record| length(&record.request).saturating_add(length(&record.response));
    finish.record.as_ref().map_or(0, of)
}

impl<B: Batches> Journal for Coalescer<B> {
    fn finish<'a>(
        &'a self,
        tenant: &'a Tenant,
        finish: &'a Arc<Finish>,
    ) -> StoreFuture<'a, Finished> {
        let (written, waiting) = oneshot::channel();
        let ended = Ended { tenant: tenant.clone(), finish: Arc::clone(finish) };
        let organization = tenant.organization_id();
        Box::pin(async move {
            let idle = {
                let mut shard = self.0.shard(organization);
                let idle = !shard.finishes.contains_key(&organization);
                let queue = shard.finishes.entry(organization).or_default();
                queue.pending.push_back(Pending { ended, written });
                idle
            };
            if idle {
                let shared = Arc::clone(&self.0);
                self.0.tasks.spawn(async move { shared.write_finishes(organization).await });
            }
            waiting.await.unwrap_or_else(|_| {
                Err(StoreError::Unavailable("the finish task ended without an answer".into()))
            })
        })
    }
}

impl<B: Batches> Shared<B> {
    /// Writes finishes until none is queued.
    async fn write_finishes(self: Arc<Self>, organization: OrganizationId) {
        loop {
            let batch = {
                let mut shard = self.shard(organization);
                let Some(queue) = shard.finishes.get_mut(&organization) else { return };
                let batch = queue.take(self.options.batch_max, self.options.batch_bytes_max);
                if batch.is_empty() {
                    shard.finishes.remove(&organization);
                    return;
                }
                batch
            };
            self.write_batch(organization, batch).await;
            self.released(organization);
        }
    }

    async fn write_batch(&self, organization: OrganizationId, batch: Vec<Pending>) {
        let (ended, waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|pending| (pending.ended, pending.written)).unzip();
        let count = u32::try_from(ended.len()).unwrap_or(u32::MAX);
        metrics::histogram!("tollgate_finish_batch_calls").record(f64::from(count));
        match self.batches.finish_all(organization, &ended).await {
            Ok(finished) => {
                for (written, finished) in waiting.into_iter().zip(finished) {
                    written.send(Ok(finished)).ok();
                }
            }
            // One finish may have caused the refusal. Written one by one, the others still succeed.
            Err(StoreError::Refused(_)) if ended.len() > 1 => {
                for (written, ended) in waiting.into_iter().zip(&ended) {
                    let one = self.batches.finish_all(organization, std::slice::from_ref(ended));
                    let finished = one.await.and_then(|finished| {
                        finished
                            .into_iter()
                            .next()
                            .ok_or_else(|| StoreError::Refused("the store gave no answer".into()))
                    });
                    written.send(finished).ok();
                }
            }
            Err(error) => {
                for written in waiting {
                    written.send(Err(shared(&error))).ok();
                }
            }
        }
    }
}
