//! What an instance was told of one key by its own reads and writes.

use crate::history::Event;

/// When an instance knew of which number at least that only grows, such as a version, and how.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(u64, u64, Event)>);

impl Told {
    /// Events come nearly in the order of their ends; one that comes late counts from the end of the one before it.
    pub(super) fn add(&mut self, at: u64, number: u64, event: Event) {
        match self.0.last() {
            Some(&(_, newest, _)) if newest >= number => {}
            Some(&(latest, ..)) => self.0.push((latest.max(at), number, event)),
            None => self.0.push((at, number, event)),
        }
    }

    /// The newest number that was known before a moment.
    pub(super) fn before(&self, moment: u64) -> Option<(u64, Event)> {
        let count = self.0.partition_point(|(at, ..)| *at < moment);
        self.0[..count].last().map(|(_, number, event)| (*number, *event))
    }

    /// Forgets what is of no matter to reads that begin after a moment.
    pub(super) fn forget(&mut self, moment: u64) {
        let count = self.0.partition_point(|(at, ..)| *at < moment);
        self.0.drain(..count.saturating_sub(1));
    }

    /// How much is remembered.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}
