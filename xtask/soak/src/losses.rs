//! When Redis may lose what it was told, and keep what it was told before.

use std::time::Duration;

use anyhow::Result;

use crate::history::{Event, Journal, Spell, now};
use crate::redis::Kind;

/// For how long before it is noticed a server and its replica may both have taken writes, and how long after a fault or the last disagreement the one may
/// yet take over from the other.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(3);

/// Notes the times of loss for the checker.
#[derive(Debug)]
pub(crate) struct Losses {
    redis: Kind,
    journal: Journal,
    /// The loss that is going on: since when, and until when it does at least.
    open: Option<(u64, u64)>,
}

impl Losses {
    pub(crate) fn new(redis: Kind, journal: Journal) -> Self {
        Losses { redis, journal, open: None }
    }

    /// A fault is about to begin that loses something.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.keep_open(u64::MAX)
    }

    /// It is over; without a replica that could still take over, the loss is.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.open = self.open.map(|(from, _)| (from, now() + self.margin(AFTER)));
        if self.redis == Kind::Single { self.close(now()) } else { Ok(()) }
    }

    /// Takes up whether the servers agree on who takes writes: a replica that took over from a primary that was only slow is a loss as well.
    pub(crate) fn look(&mut self, agree: bool) -> Result<()> {
        let now = now();
        match self.open {
            _ if !agree => self.keep_open(now + self.margin(AFTER)),
            Some((_, until)) if now >= until => self.close(now),
            _ => Ok(()),
        }
    }

    fn keep_open(&mut self, until: u64) -> Result<()> {
        let from = self.open.map_or_else(|| now().saturating_sub(self.margin(BEFORE)), |(from, _)| from);
        self.open = Some((from, until));
        self.journal.write(Event::Lost(Spell { from, to: u64::MAX }))
    }

    fn close(&mut self, to: u64) -> Result<()> {
        match self.open.take() {
            Some((from, _)) => self.journal.write(Event::Lost(Spell { from, to })),
            None => Ok(()),
        }
    }

    fn margin(&self, margin: Duration) -> u64 {
        if self.redis == Kind::Single { 0 } else { margin.as_nanos() as u64 }
    }
}
