//! The source of the libraries whose loader is ours.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use crate::library::{Hold, NEW, OLD};

/// One value, and the order to hold the next load of it.
#[derive(Debug)]
pub(crate) struct Source {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    value: &'static str,
    gate: Option<Gate>,
}

/// Where the load waits. It goes on when the other end of `open` is dropped.
#[derive(Debug)]
struct Gate {
    arrived: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// The other end of a gate.
#[derive(Debug)]
pub(crate) struct SourceHold {
    arrived: oneshot::Receiver<()>,
    _open: oneshot::Sender<()>,
}

impl Source {
    pub(crate) fn new() -> Self {
        Source { state: Mutex::new(State { value: OLD, gate: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) {
        self.state().value = NEW;
    }

    pub(crate) fn hold(&self) -> SourceHold {
        let (arrive, arrived) = oneshot::channel();
        let (opener, open) = oneshot::channel();
        self.state().gate = Some(Gate { arrived: arrive, open });
        SourceHold { arrived, _open: opener }
    }

    /// Answers what the source holds as this begins, after the wait that was ordered.
    pub(crate) async fn load(&self) -> &'static str {
        let (value, gate) = {
            let mut state = self.state();
            (state.value, state.gate.take())
        };
        if let Some(gate) = gate {
            // Nobody listens any more if the race was given up.
            let _ = gate.arrived.send(());
            let _ = gate.open.await;
        }
        value
    }
}

impl Hold for SourceHold {
    async fn arrived(&mut self) -> Result<()> {
        (&mut self.arrived).await.context("the load was given up before it came to the source")
    }
}
