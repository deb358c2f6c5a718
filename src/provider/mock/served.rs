//! What the mock has served, by request id. Tests compare it with what the gateway has recorded.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::plan::Figures;

/// How many request ids are remembered; the oldest is forgotten first. The totals keep counting.
const REMEMBERED_MAX: usize = 100_000;

/// What was served to one request id, or to all.
///
/// Tokens are counted as they are sent: a stream that broke off counts what it had sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Calls that reached the mock, however they ended.
    pub calls: u64,
    /// Calls whose answer was made completely.
    pub completed: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// The part of the input tokens that was read from the cache.
    pub cached_tokens: u64,
    /// The part of the input tokens that was written to the cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of the output tokens that was reasoning.
    pub reasoning_tokens: u64,
}

/// The count, shared by all clones of a mock.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    total: Served,
    by_id: HashMap<Arc<str>, Served>,
    order: VecDeque<Arc<str>>,
}

/// Adds one call's tokens to the count.
#[derive(Debug)]
pub(super) struct Entry {
    count: Count,
    request_id: Option<Arc<str>>,
    so_far: Figures,
}

impl Count {
    /// A call has arrived.
    pub(super) fn arrived(&self, request_id: Option<&str>) -> Entry {
        let request_id = request_id.map(Arc::from);
        let mut inner = self.lock();
        if let Some(id) = &request_id
            && !inner.by_id.contains_key(id)
        {
            if inner.order.len() >= REMEMBERED_MAX
                && let Some(oldest) = inner.order.pop_front()
            {
                inner.by_id.remove(&oldest);
            }
            inner.order.push_back(Arc::clone(id));
            inner.by_id.insert(Arc::clone(id), Served::default());
        }
        inner.add(request_id.as_ref(), &Served { calls: 1, ..Served::default() });
        drop(inner);
        Entry { count: self.clone(), request_id, so_far: Figures::default() }
    }

    pub(super) fn of(&self, request_id: &str) -> Served {
        self.lock().by_id.get(request_id).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> Served {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }
}

impl Inner {
    fn add(&mut self, request_id: Option<&Arc<str>>, more: &Served) {
        self.total.add(more);
        if let Some(served) = request_id.and_then(|id| self.by_id.get_mut(id)) {
            served.add(more);
        }
    }
}

impl Served {
    fn add(&mut self, more: &Self) {
        let sums = [
            (&mut self.calls, more.calls),
            (&mut self.completed, more.completed),
            (&mut self.input_tokens, more.input_tokens),
            (&mut self.cached_tokens, more.cached_tokens),
            (&mut self.cache_write_tokens, more.cache_write_tokens),
            (&mut self.output_tokens, more.output_tokens),
            (&mut self.reasoning_tokens, more.reasoning_tokens),
        ];
        for (sum, addend) in sums {
            *sum = sum.saturating_add(addend);
        }
    }
}

impl Entry {
    /// Notes the tokens that the call has used so far, in total.
    pub(super) fn produced(&mut self, now: &Figures) {
        let before = std::mem::replace(&mut self.so_far, *now);
        self.add(&Served {
            input_tokens: now.input.saturating_sub(before.input),
            cached_tokens: now.cached.saturating_sub(before.cached),
            cache_write_tokens: now.cache_write.saturating_sub(before.cache_write),
            output_tokens: now.output.saturating_sub(before.output),
            reasoning_tokens: now.reasoning.saturating_sub(before.reasoning),
            ..Served::default()
        });
    }

    /// The answer has been made completely.
    pub(super) fn completed(&self) {
        self.add(&Served { completed: 1, ..Served::default() });
    }

    fn add(&self, more: &Served) {
        self.count.lock().add(self.request_id.as_ref(), more);
    }
}
