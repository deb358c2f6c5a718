//! A move that stops at each of its steps, so that a test can act at exactly that step, or end the move there.

use std::{
    panic,
    sync::{Mutex, mpsc as blocking},
};

use tokio::{sync::mpsc, task, task::JoinHandle, time::timeout};
use tollgate::{
    domain::ids::OrganizationId,
    postgres::{
        Place, PostgresStore,
        places::{Copied, MoveError, Mover, Step},
    },
};

use super::harness::DEADLINE;

/// A move on its way.
pub(crate) struct Walk {
    steps: mpsc::Receiver<Step>,
    go_on: Option<blocking::Sender<()>>,
    outcome: JoinHandle<Result<Option<Copied>, MoveError>>,
    stands: bool,
}

impl Walk {
    /// Sets out.
    pub(crate) fn begin(places: PostgresStore, id: OrganizationId, to: &Place) -> Self {
        let (tell, steps) = mpsc::channel(8);
        let (go_on, told) = blocking::channel();
        let told = Mutex::new(told);
        let mover = Mover::new(places).telling(move |step| {
            tell.try_send(step).expect("somebody watches");
            // Whoever waits here is dead if nobody tells it to go on.
            if task::block_in_place(|| told.lock().unwrap().recv()).is_err() {
                panic::resume_unwind(Box::new("the mover died"));
            }
        });
        let to = to.clone();
        let outcome = tokio::spawn(async move { mover.move_to(id, &to).await });
        Self { steps, go_on: Some(go_on), outcome, stands: false }
    }

    /// Goes on to this step, and stands there.
    pub(crate) async fn reaches(&mut self, wanted: Step) {
        loop {
            self.goes_on();
            let step = timeout(DEADLINE, self.steps.recv()).await;
            self.stands = true;
            match step.unwrap_or_else(|_| panic!("{wanted}: it never came to this")) {
                Some(step) if step == wanted => return,
                Some(_) => {}
                None => panic!("{wanted}: it has ended without it"),
            }
        }
    }

    /// Goes on, up to the next step.
    pub(crate) fn goes_on(&mut self) {
        if std::mem::take(&mut self.stands) {
            self.go_on.as_ref().unwrap().send(()).unwrap();
        }
    }

    /// Goes on to the end.
    pub(crate) async fn arrives(mut self) -> Result<Option<Copied>, MoveError> {
        self.goes_on();
        while self.steps.recv().await.is_some() {
            self.stands = true;
            self.goes_on();
        }
        self.outcome.await.unwrap()
    }

    /// Ends where it stands, and its connections with it.
    pub(crate) async fn dies(mut self) {
        assert!(self.stands);
        self.go_on = None;
        assert!(self.outcome.await.unwrap_err().is_panic());
    }
}
