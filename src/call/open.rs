//! An open call: the guard that ends it exactly once, whatever happens.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, StatusCode};
use tokio::sync::oneshot;

use super::{
    capture::{Capture, storable},
    count,
    finisher::{Finisher, Job, Slot},
    heartbeats::Beating,
    layer::Settings,
    settle::{self, Bill, End},
    stops::Stops,
};
use crate::{
    context::{Call, Keeping, Report, ServedBy, Tenant},
    domain::{
        finish::{Ending, Finish, Record},
        policy::Keep,
        usage::Meter,
    },
};

/// The status of a call whose client left before the answer had a status. HTTP has no code for it; 499 is nginx's.
const CLIENT_LEFT: u16 = 499;

/// A call that has been read and has not ended yet. Dropping it ends the call: it is not read any further.
pub(super) struct OpenCall {
    call: Call,
    tenant: Option<Tenant>,
    slot: Option<Slot>,
    settings: Arc<Settings>,
    original: Bytes,
    client_request_id: Option<String>,
    answer: Answer,
    ended: bool,
    /// While this is `Some`, heartbeats include the call.
    beating: Option<Beating>,
}

/// The head of the provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Awaited,
    Answer,
    /// Its status is an error.
    Refusal,
}

/// The state of the answer so far.
struct Answer {
    meter: Meter,
    capture: Option<Capture>,
    status: u16,
    stream: bool,
    provider: Option<Arc<str>>,
    first_byte: Option<Duration>,
    head: Head,
    /// What the client was told, and when, of a call that is read on without it.
    closed: Option<(Ending, Duration)>,
    /// A part of a stream was too long to be read.
    skipped: bool,
    /// If the answer has more output tokens than this, it counts as endless and is cut.
    written_max: u64,
}

impl OpenCall {
    pub(super) fn new(
        call: Call,
        tenant: Option<Tenant>,
        slot: Option<Slot>,
        settings: Arc<Settings>,
        original: Bytes,
        client_request_id: Option<String>,
    ) -> Self {
        let answer = Answer {
            meter: Meter::new(call.facts().endpoint),
            capture: None,
            status: CLIENT_LEFT,
            stream: false,
            provider: None,
            first_byte: None,
            head: Head::Awaited,
            closed: None,
            skipped: false,
            written_max: u64::MAX,
        };
        let heartbeats = settings.heartbeats.as_ref().filter(|_| slot.is_some());
        let beating = heartbeats
            .zip(tenant.as_ref())
            .map(|(heartbeats, tenant)| heartbeats.watch(tenant.organization_id(), &call));
        Self {
            call,
            tenant,
            slot,
            settings,
            original,
            client_request_id,
            answer,
            ended: false,
            beating,
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(super) fn meter(&mut self) -> &mut Meter {
        &mut self.answer.meter
    }

    /// What was read is no answer, so none of it counts as output.
    pub(super) fn forget_answer(&mut self) {
        self.answer.meter = Meter::new(self.call.facts().endpoint);
    }

    /// The head of the answer has arrived.
    pub(super) fn head(&mut self, status: StatusCode, extensions: &Extensions, stream: bool) {
        self.answer.stream = stream;
        self.answer.head = if status.is_success() { Head::Answer } else { Head::Refusal };
        if stream {
            self.answer.written_max =
                settle::written_max(self.call.facts(), self.call.hold().as_ref());
        }
        self.answer.provider = extensions.get::<ServedBy>().map(|served| Arc::clone(&served.0));
        if self.answer.closed.is_none() {
            self.answer.status = status.as_u16();
            self.answer.capture = self.capture();
        }
        if status.is_success() {
            self.note_seen();
        }
    }

    /// Notes the answer that the client gets instead of the provider's. Call this before anything else is delivered.
    pub(super) fn answered_instead(&mut self, status: StatusCode, body: &Bytes) {
        if self.answer.closed.is_some() {
            return;
        }
        self.answer.status = status.as_u16();
        self.answer.capture = self.capture();
        self.delivered(body);
    }

    /// The client has got its last bytes, and the provider's answer is read on without it. What is written at the end
    /// says what the client got.
    pub(super) fn close(&mut self, ending: Ending) {
        let latency = self.call.started().elapsed();
        self.answer.closed.get_or_insert((ending, latency));
    }

    /// A part of the stream was too long to be read, so its text is not known.
    pub(super) fn skipped(&mut self) {
        self.answer.skipped = true;
    }

    /// An empty capture, if the record is to keep the answer.
    fn capture(&self) -> Option<Capture> {
        let Keeping { keep, capture_bytes_max } = self.call.keeping()?;
        (keep == Keep::Full).then(|| Capture::up_to(capture_bytes_max))
    }

    /// Stores the usage that has been metered so far, for heartbeats.
    pub(super) fn note_seen(&self) {
        if self.beating.is_some() {
            let (meter, hold) = (&self.answer.meter, self.call.hold());
            self.call.note_seen(settle::so_far(meter, self.call.facts(), hold.as_ref()));
        }
    }

    /// Whether the answer is longer than this call could ever have asked for.
    pub(super) fn has_no_end(&self) -> bool {
        self.answer.meter.written_min() > self.answer.written_max
    }

    /// How long the answer may still take.
    pub(super) fn time_left(&self) -> Duration {
        time_left(&self.settings, &self.call)
    }

    /// Bytes of the answer, as the client gets them.
    pub(super) fn delivered(&mut self, bytes: &Bytes) {
        if self.answer.closed.is_some() {
            return;
        }
        if self.answer.first_byte.is_none() && !bytes.is_empty() {
            self.answer.first_byte = Some(self.call.started().elapsed());
        }
        if let Some(capture) = &mut self.answer.capture {
            capture.add(bytes);
        }
    }

    /// What may end the call for its client before the provider does.
    pub(super) fn stops(&self) -> Stops {
        let watched = self.settings.kill_switch.as_ref().zip(self.tenant.as_ref());
        let watched = watched.map(|(switch, tenant)| switch.watch(tenant));
        if self.settings.finisher.is_some() {
            self.call.wait_for_usage();
        }
        Stops::new(self.call.clone(), watched, self.time_left())
    }

    /// What reads on if the client gets no more of the answer, and for how long. `None` if nothing is held.
    pub(super) fn drains(&self) -> Option<(Finisher, Duration)> {
        let drains = !self.ended && self.slot.is_some() && drains(&self.call);
        let finisher = self.settings.finisher.clone().filter(|_| drains)?;
        Some((finisher, drain_max(&self.settings, &self.call)))
    }

    /// Ends a call for which nothing is owed: a refusal, or a provider that refused before it answered.
    pub(super) fn release(&mut self, ending: Ending) -> Written {
        let bill = settle::release(self.call.hold().as_ref());
        self.end(ending, bill)
    }

    /// Ends a call that the provider has worked for, or may have.
    pub(super) fn settle(&mut self, ending: Ending, end: End) -> Written {
        // If the kill switch cuts a call whose client had already left, the ending is still the switch's.
        let left = self.call.client_left() && ending != Ending::Cut;
        let ending = if left { Ending::Abandoned } else { ending };
        let bill =
            settle::settle(&self.answer.meter, self.call.facts(), self.call.hold().as_ref(), end);
        self.end(ending, bill)
    }

    /// Ends a call whose provider says in its answer that it has failed. If that is all that it says, it is a refusal.
    pub(super) fn settle_error(&mut self) -> Written {
        if self.answer.meter.delivers() || self.answer.meter.reports() {
            self.settle(Ending::Failed, End::Broken)
        } else {
            self.release(Ending::Failed)
        }
    }

    /// Ends a call whose answer is not read any further. The answer may have come in part, or not at all.
    pub(super) fn stop(&mut self, ending: Ending) -> Written {
        let whole = self.answer.head == Head::Answer && !self.answer.stream;
        let unseen = self.answer.skipped || whole;
        self.end_early(ending, End::Stopped { unseen })
    }

    /// Ends a call early, at any stage: charges or releases by what is known so far.
    pub(super) fn end_early(&mut self, ending: Ending, end: End) -> Written {
        if self.answer.head == Head::Refusal {
            return self.release(ending);
        }
        match self.call.hold() {
            // There is a hold, so the provider was reached: it may bill the input even if not a byte came back.
            Some(_) => self.settle(ending, end),
            None if self.answer.head == Head::Answer => self.settle(ending, end),
            None => self.release(ending),
        }
    }

    /// Ends a call whose service has panicked: our failure, not the client's.
    pub(super) fn end_panicked(&mut self) -> Written {
        if self.answer.head == Head::Awaited && self.answer.closed.is_none() {
            self.answer.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        }
        self.end_early(Ending::Failed, End::Broken)
    }

    fn end(&mut self, ending: Ending, bill: Bill) -> Written {
        if std::mem::replace(&mut self.ended, true) {
            return Written::nothing_to_write();
        }
        let now = (ending, self.call.started().elapsed());
        let (ending, latency) = self.answer.closed.unwrap_or(now);
        let beating = self.beating.take();
        self.call.tell_ended(&Report { ending, usage: bill.usage });
        self.count(ending, &bill, latency);
        let keeping = self.call.keeping();
        if bill.settlement.is_none() && keeping.is_none() {
            return Written::nothing_to_write();
        }
        let (Some(slot), Some(tenant)) = (self.slot.take(), self.tenant.take()) else {
            // A layer further in took a hold or asked for a record, but there is no tenant or no queue to write it
            // with. The hold is left to expire; the log says what to do.
            tracing::error!(
                "a call cannot be settled or recorded: make the CallLayer with a Finisher, inside a TenantLayer"
            );
            return Written::failed();
        };
        let finish = self.finish(ending, bill, keeping, latency);
        let (call, wait) = (self.call.clone(), self.settings.finish_wait);
        // Heartbeats renew the hold until the finish is written.
        Written::waiting(slot.finish(Job { call, tenant, finish, wait, beating }))
    }

    fn finish(
        &mut self,
        ending: Ending,
        bill: Bill,
        keeping: Option<Keeping>,
        latency: Duration,
    ) -> Finish {
        let facts = self.call.facts();
        let record = keeping.map(|keeping| match keeping.keep {
            Keep::Metadata => Record { request: None, response: None, truncated: false },
            Keep::Full => {
                let mut request = Capture::up_to(keeping.capture_bytes_max);
                request.add(&self.original);
                let (request, request_cut) = request.into_text();
                let (response, response_cut) =
                    self.answer.capture.take().unwrap_or_default().into_text();
                Record {
                    request: Some(request),
                    response: Some(response),
                    truncated: request_cut || response_cut,
                }
            }
        });
        Finish {
            request_id: self.call.request_id(),
            client_request_id: self.client_request_id.take(),
            endpoint: facts.endpoint,
            model: storable(facts.model.as_bytes()),
            answered_by: self.answer.meter.answered_by().map(|name| storable(name.as_bytes())),
            provider: self.answer.provider.as_deref().map(str::to_owned),
            stream: self.answer.stream,
            ending,
            status: self.answer.status,
            usage: bill.usage,
            estimated: bill.estimated,
            clamped: bill.clamped,
            settlement: bill.settlement,
            latency,
            first_byte: self.answer.first_byte,
            record,
        }
    }

    fn count(&self, ending: Ending, bill: &Bill, latency: Duration) {
        let facts = self.call.facts();
        count::ended(facts.endpoint, ending, latency);
        tracing::info!(
            request_id = %self.call.request_id(),
            organization_id = self.tenant.as_ref().map(|tenant| tracing::field::display(tenant.organization_id())),
            endpoint = facts.endpoint.as_str(),
            model = facts.model,
            stream = self.answer.stream,
            status = self.answer.status,
            ending = ending.as_str(),
            input_tokens = bill.usage.input_total(),
            output_tokens = bill.usage.output_total(),
            estimated = bill.estimated,
            cost = bill.settlement.map(|settlement| tracing::field::display(settlement.amount)),
            milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            "call ended"
        );
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Nobody waits for the result here, but the finish has its slot and is written all the same.
        if std::thread::panicking() {
            drop(self.end_panicked());
        } else {
            drop(self.stop(Ending::Abandoned));
        }
    }
}

/// The call, once it has been read. The response future needs it to drain a call whose client leaves before the head.
pub(super) type Reached = Arc<OnceLock<Call>>;

/// Whether a call goes on without its client: only if the provider has been reached, that is if there is a hold. What
/// the policy says about a client that leaves makes no difference: hanging up must not be cheaper.
pub(super) fn drains(call: &Call) -> bool {
    call.hold().is_some()
}

/// How long an answer is read on without its client: within its own time.
pub(super) fn drain_max(settings: &Settings, call: &Call) -> Duration {
    /// If the time was over before a slow client had read the answer, the rest has been sent long ago.
    const READ_OUT: Duration = Duration::from_secs(10);
    settings.drain_max.min(time_left(settings, call).max(READ_OUT))
}

fn time_left(settings: &Settings, call: &Call) -> Duration {
    settings.answer_wait.saturating_sub(call.started().elapsed())
}

/// Resolves to `true` when a finish is durable, and to `false` if the answer must be withheld.
#[derive(Debug)]
pub(super) struct Written(Kind);

#[derive(Debug)]
enum Kind {
    Known(bool),
    Waiting(oneshot::Receiver<bool>),
}

impl Written {
    const fn nothing_to_write() -> Self {
        Self(Kind::Known(true))
    }

    const fn failed() -> Self {
        Self(Kind::Known(false))
    }

    const fn waiting(written: oneshot::Receiver<bool>) -> Self {
        Self(Kind::Waiting(written))
    }
}

impl Future for Written {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.0 {
            Kind::Known(written) => Poll::Ready(*written),
            // A finish that the store refuses is told by nobody.
            Kind::Waiting(told) => Pin::new(told).poll(cx).map(|told| told == Ok(true)),
        }
    }
}
