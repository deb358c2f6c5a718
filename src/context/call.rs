//! What is asked, and what the layers have set aside for it.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use http::Request;
use tokio::time::Instant;

use super::{Standing, Tenant, standing::Learned};
use crate::domain::{
    credits::Credits,
    dialect::Endpoint,
    finish::Ending,
    ids::RequestId,
    policy::{Disconnect, Keep},
    price::Quote,
    request::{CallFacts, Edits},
    usage::Usage,
};

/// One model call, from the request's first byte to the answer's last: the unit of work that the
/// layers share. Cheap to clone; all clones are the same call.
///
/// Layers further in add to it ([`set_hold`](Self::set_hold), [`keep`](Self::keep),
/// [`at_end`](Self::at_end)); `CallLayer`, which made it, ends it exactly once.
#[derive(Clone)]
pub struct Call(Arc<Shared>);

struct Shared {
    request_id: RequestId,
    started: Instant,
    facts: CallFacts,
    learned: OnceLock<Learned>,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    edits: Edits,
    hold: Option<Hold>,
    keeping: Option<Keeping>,
    seen: Option<Usage>,
    client_left: bool,
    at_end: Vec<Box<dyn AtEnd>>,
}

/// Credits and budget tokens that the ledger has set aside for a call.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The upper bound that is held.
    pub amount: Credits,
    /// The budget tokens that are held.
    pub tokens: i64,
    /// What the usage will be priced by.
    pub price: Quote,
    /// What happens when the client leaves.
    pub disconnect: Disconnect,
}

/// What the audit log is to keep of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Prompts and responses, or figures only.
    pub keep: Keep,
    /// The most bytes of either that are kept.
    pub capture_bytes_max: usize,
}

/// Which upstream served a call: put into the **response's** extensions by the inner service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy(pub Arc<str>);

/// What a call came to, for those that wait for its end.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// What it used.
    pub usage: Usage,
}

/// Something to be told when a call ends. Dropped without being told only where the process ends
/// or the call never reached the layer that made it.
pub trait AtEnd: Send {
    /// The call has ended; nothing more is coming.
    fn ended(self: Box<Self>, report: &Report);
}

impl<F: FnOnce(&Report) + Send> AtEnd for F {
    fn ended(self: Box<Self>, report: &Report) {
        (*self)(report);
    }
}

impl Call {
    /// A call that arrives now.
    pub fn new(facts: CallFacts) -> Self {
        Self::with_id(RequestId::generate(), facts)
    }

    /// A call that arrives now, under an id that this gateway has generated for it.
    pub fn with_id(request_id: RequestId, facts: CallFacts) -> Self {
        Self::since(Instant::now(), request_id, facts)
    }

    /// As [`with_id`](Self::with_id), for a call whose body took its time to be read.
    pub(crate) fn since(started: Instant, request_id: RequestId, facts: CallFacts) -> Self {
        Self(Arc::new(Shared {
            request_id,
            started,
            facts,
            learned: OnceLock::new(),
            work: Mutex::default(),
        }))
    }

    /// A chat call for `model` and nothing else: for tests and examples of single layers.
    pub fn for_model(model: &str) -> Self {
        Self::new(CallFacts {
            endpoint: Endpoint::ChatCompletions,
            model: model.into(),
            stream: false,
            wants_usage: false,
            output_cap: None,
            answers: 1,
            input_bound: 0,
            input_estimate: 0,
            may_write_cache: false,
        })
    }

    /// The call of a request, if a layer further out has put one in.
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The key of everything written about this call.
    pub fn request_id(&self) -> RequestId {
        self.0.request_id
    }

    /// What is asked.
    pub fn facts(&self) -> &CallFacts {
        &self.0.facts
    }

    /// When the call arrived.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// What a layer further out has learned from the policies of this number about this very tenant.
    pub(crate) fn standing(&self, source: u64, tenant: &Tenant) -> Option<&Standing> {
        self.0.learned.get()?.answer(source, tenant)
    }

    /// Spares the layers further in the same question. The first answer stands; others ask anew.
    pub(crate) fn learn(&self, source: u64, tenant: &Tenant, standing: &Standing) {
        self.0.learned.get_or_init(|| Learned::new(source, tenant.clone(), standing.clone()));
    }

    /// Send this output cap upstream, because the caller set none.
    pub fn cap_output(&self, cap: NonZeroU32) {
        self.work().edits.output_cap = Some(cap);
    }

    /// Ask the provider for usage in the stream.
    pub fn include_usage(&self) {
        self.work().edits.include_usage = true;
    }

    /// What changes in the body before it goes upstream.
    pub fn edits(&self) -> Edits {
        self.work().edits
    }

    /// Credits have been set aside: from now on this call must be settled.
    pub fn set_hold(&self, hold: Hold) {
        self.work().hold = Some(hold);
    }

    /// What has been set aside.
    pub fn hold(&self) -> Option<Hold> {
        self.work().hold.clone()
    }

    /// A record of this call is to be written.
    pub fn keep(&self, keeping: Keeping) {
        self.work().keeping = Some(keeping);
    }

    /// What is to be recorded, if anything.
    pub fn keeping(&self) -> Option<Keeping> {
        self.work().keeping
    }

    /// An answer has begun, and this much of it was seen so far.
    pub(crate) fn note_seen(&self, seen: Usage) {
        self.work().seen = Some(seen);
    }

    /// What was seen so far, if an answer has begun: what the call used if nothing more comes.
    pub(crate) fn seen(&self) -> Option<Usage> {
        self.work().seen
    }

    /// Be told when the call ends. What is told last is told first.
    pub fn at_end(&self, waiting: impl AtEnd + 'static) {
        self.work().at_end.push(Box::new(waiting));
    }

    /// The client left; whatever the provider still says, nobody hears it.
    pub(crate) fn client_leaves(&self) {
        self.work().client_left = true;
    }

    pub(crate) fn client_left(&self) -> bool {
        self.work().client_left
    }

    /// Tells all that wait, once: a second call finds nobody.
    pub fn tell_ended(&self, report: &Report) {
        let mut waiting = std::mem::take(&mut self.work().at_end);
        while let Some(one) = waiting.pop() {
            one.ended(report);
        }
    }

    // A poisoned lock only means that some thread panicked between two field writes that do not
    // depend on each other.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the call, never its content.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.0.request_id)
            .field("endpoint", &self.0.facts.endpoint)
            .field("model", &self.0.facts.model)
            .finish_non_exhaustive()
    }
}
