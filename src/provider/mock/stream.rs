//! A streamed answer, event by event.

use bytes::Bytes;

use super::{
    endpoint::Events,
    options::{BreakAfter, Hang},
    plan::Plan,
    served::Entry,
    step::Step,
};

/// A streamed answer: an opening, chunks of content, a closing. It is made as it is read, so that a long stream needs
/// no more memory than a short one, and only tokens that were really served are counted.
#[derive(Debug)]
pub(super) struct Stream {
    events: Events,
    plan: Plan,
    entry: Entry,
    place: Place,
    waited: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Opening,
    /// This many chunks have been sent.
    Chunks(usize),
    Over,
}

impl Stream {
    pub(super) fn new(events: Events, plan: Plan, entry: Entry) -> Self {
        Self { events, plan, entry, place: Place::Opening, waited: false }
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        match self.place {
            Place::Opening => {
                self.place = Place::Chunks(0);
                Some(say((self.events.opening)(&self.plan)))
            }
            Place::Chunks(done) => Some(self.after(done)),
            Place::Over => None,
        }
    }

    fn after(&mut self, done: usize) -> Step {
        let hangs = self.plan.options.hang == Some(Hang::Body);
        if self.plan.options.break_after == Some(BreakAfter::Chunks(done)) {
            self.place = Place::Over;
            return Step::Break;
        }
        if done < self.plan.chunks() || self.plan.options.endless {
            if !self.plan.options.chunk_delay.is_zero() && !self.waited {
                self.waited = true;
                return Step::Wait(self.plan.options.chunk_delay);
            }
            self.waited = false;
            let next = done.saturating_add(1);
            self.place = Place::Chunks(next);
            self.entry.produced(&self.plan.figures_after(next));
            return say((self.events.content)(&self.plan, done));
        }
        self.place = Place::Over;
        if hangs {
            return Step::Hang;
        }
        self.entry.completed();
        say((self.events.closing)(&self.plan))
    }
}

fn say(events: String) -> Step {
    Step::Data(Bytes::from(events))
}
