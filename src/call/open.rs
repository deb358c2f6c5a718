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
    finisher::{Job, Slot},
    heartbeats::Beating,
    layer::Settings,
    settle::{self, Bill},
    switch::Watched,
};
use crate::{
    context::{Call, Keeping, Report, ServedBy, Tenant},
    domain::{
        finish::{Ending, Finish, Record},
        policy::{Disconnect, Keep},
        usage::Meter,
    },
};

/// The status of a call whose client left before the answer had a status. HTTP has no code for it; 499 is nginx's.
const CLIENT_LEFT: u16 = 499;

/// A call that has been read and has not ended yet. Dropping it ends the call as abandoned.
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

/// The state of the answer so far.
struct Answer {
    meter: Meter,
    capture: Option<Capture>,
    status: u16,
    stream: bool,
    provider: Option<Arc<str>>,
    first_byte: Option<Duration>,
    begun: bool,
    /// The status in the head is an error.
    failed: bool,
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
            begun: false,
            failed: false,
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

    /// The head of the answer has arrived.
    pub(super) fn head(&mut self, status: StatusCode, extensions: &Extensions, stream: bool) {
        self.answer.status = status.as_u16();
        self.answer.stream = stream;
        self.answer.begun = true;
        self.answer.failed = !status.is_success();
        if stream {
            self.answer.written_max =
                settle::written_max(self.call.facts(), self.call.hold().as_ref());
        }
        self.answer.provider = extensions.get::<ServedBy>().map(|served| Arc::clone(&served.0));
        self.answer.capture = self.capture();
        if status.is_success() {
            self.note_seen();
        }
    }

    /// Notes the answer that the client gets instead of the provider's. Call this before anything else is delivered.
    pub(super) fn answered_instead(&mut self, status: StatusCode, body: &Bytes) {
        self.answer.status = status.as_u16();
        self.answer.capture = self.capture();
        self.delivered(body);
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
        self.settings.answer_wait.saturating_sub(self.call.started().elapsed())
    }

    /// Bytes of the answer, as the client gets them.
    pub(super) fn delivered(&mut self, bytes: &Bytes) {
        if self.answer.first_byte.is_none() && !bytes.is_empty() {
            self.answer.first_byte = Some(self.call.started().elapsed());
        }
        if let Some(capture) = &mut self.answer.capture {
            capture.add(bytes);
        }
    }

    /// Watches the call for the kill switch, if the layer has one.
    pub(super) fn watched(&self) -> Option<Watched> {
        Some(self.settings.kill_switch.as_ref()?.watch(self.tenant.as_ref()?))
    }

    /// Whether the answer is to be drained if the client leaves now.
    pub(super) fn drains(&self) -> bool {
        !self.ended && self.slot.is_some() && drains(&self.call)
    }

    /// Ends a call for which nothing is owed: a refusal, or a provider that failed before it answered.
    pub(super) fn release(&mut self, ending: Ending) -> Written {
        let bill = settle::release(self.call.hold().as_ref());
        self.end(ending, bill)
    }

    /// Ends a call that delivered something, or may have.
    pub(super) fn settle(&mut self, ending: Ending) -> Written {
        let whole = ending == Ending::Complete;
        // If the kill switch cuts a call whose client had already left, the ending is still the switch's.
        let left = self.call.client_left() && ending != Ending::Cut;
        let ending = if left { Ending::Abandoned } else { ending };
        let bill =
            settle::settle(&self.answer.meter, self.call.facts(), self.call.hold().as_ref(), whole);
        self.end(ending, bill)
    }

    /// Ends a call early, at any stage: charges or releases by what is known so far.
    pub(super) fn end_early(&mut self, ending: Ending) -> Written {
        if self.answer.failed {
            return self.release(ending);
        }
        match self.call.hold() {
            // There is a hold, so the provider was reached: it may bill the input even if not a byte came back.
            Some(_) => self.settle(ending),
            None if self.answer.begun => self.settle(ending),
            None => self.release(ending),
        }
    }

    /// Ends a call whose service has panicked: our failure, not the client's.
    pub(super) fn end_panicked(&mut self) -> Written {
        if !self.answer.begun {
            self.answer.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        }
        self.end_early(Ending::Failed)
    }

    fn end(&mut self, ending: Ending, bill: Bill) -> Written {
        if std::mem::replace(&mut self.ended, true) {
            return Written::nothing_to_write();
        }
        let beating = self.beating.take();
        self.call.tell_ended(&Report { ending, usage: bill.usage });
        let latency = self.call.started().elapsed();
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
            drop(self.end_early(Ending::Abandoned));
        }
    }
}

/// The call, once it has been read. The response future needs it to drain a call whose client leaves before the head.
pub(super) type Reached = Arc<OnceLock<Call>>;

/// Whether a call goes on after its client has left: only if the provider has been reached (there is a hold) and the
/// organization wants the true usage.
pub(super) fn drains(call: &Call) -> bool {
    call.hold().is_some_and(|hold| hold.disconnect == Disconnect::Drain)
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
