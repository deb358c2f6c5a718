//! One model call: what is asked for, and what the layers have set aside for it.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::Request;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::{
    Standing, Tenant,
    patience::{Overdue, Patience},
    standing::Learned,
};
use crate::domain::{
    credits::Credits,
    endpoint::Endpoint,
    finish::Ending,
    ids::RequestId,
    policy::{Disconnect, Keep},
    price::Quote,
    request::{CallFacts, Edits},
    usage::Usage,
};

/// One model call, from the request's first byte to the answer's last byte: the unit of work that the
/// layers share. Cheap to clone; all clones are the same call.
///
/// `CallLayer` makes the call and ends it exactly once. Layers further in add to it
/// ([`set_hold`](Self::set_hold), [`keep`](Self::keep), [`at_end`](Self::at_end)).
#[derive(Clone)]
pub struct Call(Arc<Shared>);

struct Shared {
    request_id: RequestId,
    started: Instant,
    facts: CallFacts,
    learned: OnceLock<Learned>,
    /// The service has asked for the body, or does not want it.
    sent: AtomicBool,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    edits: Edits,
    hold: Option<Hold>,
    keeping: Option<Keeping>,
    seen: Option<Usage>,
    client_left: bool,
    patience: Patience,
    at_end: Vec<Box<dyn AtEnd>>,
}

/// Credits and budget tokens that the ledger has set aside for a call.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The upper bound that is held.
    pub amount: Credits,
    /// The budget tokens that are held.
    pub tokens: i64,
    /// The price that the usage will be settled at.
    pub price: Quote,
    /// What the policy asks for when the client leaves. Either way the answer is read to its usage.
    pub disconnect: Disconnect,
}

/// What the audit log keeps of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Prompts and responses, or figures only.
    pub keep: Keep,
    /// The most bytes of either that are kept.
    pub capture_bytes_max: usize,
}

/// Which upstream served a call. The inner service puts it into the **response's** extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedBy(pub Arc<str>);

/// The outcome of a call, for the callbacks at its end.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// The call's usage.
    pub usage: Usage,
}

/// A callback for the end of a call. It is dropped without being run only if the process ends, or if
/// no `CallLayer` made the call.
pub trait AtEnd: Send {
    /// Runs when the call has ended and its answer is over.
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

    /// As [`with_id`](Self::with_id), for a call that arrived earlier, before its body was read.
    pub(crate) fn since(started: Instant, request_id: RequestId, facts: CallFacts) -> Self {
        Self(Arc::new(Shared {
            request_id,
            started,
            facts,
            learned: OnceLock::new(),
            sent: AtomicBool::new(false),
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
            output_added: 0,
            answers: 1,
            hidden_answers: 0,
            echoed_bytes: 0,
            input_bound: 0,
            input_estimate: 0,
            may_write_cache: false,
            newer_cap: None,
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

    /// The facts about what is asked for.
    pub fn facts(&self) -> &CallFacts {
        &self.0.facts
    }

    /// When the call arrived.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// The standing that a layer further out has read for this very tenant, from the policies with this number.
    pub(crate) fn standing(&self, source: u64, tenant: &Tenant) -> Option<&Standing> {
        self.0.learned.get()?.answer(source, tenant)
    }

    /// Keeps a standing for the layers further in. Only the first one is kept; other sources or tenants are read again.
    pub(crate) fn learn(&self, source: u64, tenant: &Tenant, standing: &Standing) {
        self.0.learned.get_or_init(|| Learned::new(source, tenant.clone(), standing.clone()));
    }

    /// Sends this output cap upstream, because the caller set none.
    pub fn cap_output(&self, cap: NonZeroU32) {
        self.work().edits.output_cap = Some(cap);
    }

    /// Asks the provider to report usage in the stream.
    pub fn include_usage(&self) {
        self.work().edits.include_usage = true;
    }

    /// Writes the cap where compatible servers read it.
    pub fn cap_as_compatible(&self) {
        self.work().edits.compatible_cap = true;
    }

    /// The provider does not know `stream_options`, so usage is not asked for there.
    pub fn without_stream_options(&self) {
        self.work().edits.no_stream_options = true;
    }

    /// Asks the provider for the service tier that has the price of the price book.
    pub fn ask_for_tier(&self, tier: &'static str) {
        self.work().edits.standard_tier = Some(tier);
    }

    /// The edits to the body before it goes upstream.
    pub fn edits(&self) -> Edits {
        self.work().edits
    }

    /// Records the hold. From now on this call must be settled.
    pub fn set_hold(&self, hold: Hold) {
        self.work().hold = Some(hold);
    }

    /// The hold, if there is one.
    pub fn hold(&self) -> Option<Hold> {
        self.work().hold.clone()
    }

    /// Asks for a record of this call.
    pub fn keep(&self, keeping: Keeping) {
        self.work().keeping = Some(keeping);
    }

    /// What the record keeps, if one is to be written.
    pub fn keeping(&self) -> Option<Keeping> {
        self.work().keeping
    }

    /// Records the usage so far of an answer that has begun.
    pub(crate) fn note_seen(&self, seen: Usage) {
        self.work().seen = Some(seen);
    }

    /// The usage so far, if an answer has begun. It is the call's usage if nothing more arrives.
    pub(crate) fn seen(&self) -> Option<Usage> {
        self.work().seen
    }

    /// Registers a callback for the end of the call. Callbacks run in reverse order of registration.
    pub fn at_end(&self, waiting: impl AtEnd + 'static) {
        self.work().at_end.push(Box::new(waiting));
    }

    /// Records that the service may send the call from now on: it has the body, or has dropped it.
    pub(crate) fn sends(&self) {
        self.0.sent.store(true, Ordering::Release);
    }

    /// Whether the provider may have been reached. A service that has not asked for the body yet has sent nothing.
    pub(crate) fn may_be_sent(&self) -> bool {
        self.0.sent.load(Ordering::Acquire)
    }

    /// Records that the client has left, so that nobody reads the rest of the answer.
    pub(crate) fn client_leaves(&self) {
        self.work().client_left = true;
    }

    pub(crate) fn client_left(&self) -> bool {
        self.work().client_left
    }

    /// From now on, a provider's service that would give up says so ([`give_up`](Self::give_up)) and goes on: its answer
    /// is read for its usage.
    pub(crate) fn wait_for_usage(&self) {
        self.work().patience.listen();
    }

    /// Whether the time of the answer is bounded further out.
    pub fn waits_for_usage(&self) -> bool {
        self.work().patience.is_listened_to()
    }

    /// Says that the provider has taken too long, so that the client gets its answer. Returns whether the provider's
    /// service is to go on; if nobody listens, it is to end.
    pub fn give_up(&self, overdue: Overdue) -> bool {
        if !self.waits_for_usage() {
            return false;
        }
        let waker = self.work().patience.tell(overdue);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ready when the provider's service has given up waiting.
    pub(crate) fn poll_given_up(&self, cx: &Context<'_>) -> Poll<Overdue> {
        self.work().patience.poll(cx)
    }

    /// Runs all callbacks, once. A second call finds none.
    pub fn tell_ended(&self, report: &Report) {
        let mut waiting = std::mem::take(&mut self.work().at_end);
        while let Some(one) = waiting.pop() {
            one.ended(report);
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.work.lock()
    }
}

/// Shows which call it is, never its content.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.0.request_id)
            .field("endpoint", &self.0.facts.endpoint)
            .field("model", &self.0.facts.model)
            .finish_non_exhaustive()
    }
}
