//! What the shared tier holds of keys that are to be loaded.

use std::borrow::Borrow;
use std::time::Duration;

use futures_util::future::join_all;

use super::{LOADED, Landed, Pipeline, Reason, Wanted};
use crate::facet::{Records, Seen, Slot};
use crate::flight::Flight;
use crate::pipeline::Borrowed;
use crate::pipeline::View;
use crate::pipeline::read::{Found, Loaded};
use crate::pipeline::read_many::{CHUNK, FIRST_PAUSE, LONGEST_PAUSE};
use crate::record::EncodedRecord;
use crate::schema::Schema;
use crate::tag::CallTags;
use crate::tier::Role;

/// What the name of the slot ends with whose lease is the right to renew a key. No key's text holds a control character.
const RIGHT_TO_RENEW: &str = "\u{1}renew";

impl<T: Schema> Pipeline<T> {
    /// The slot whose lease is the right to renew a key.
    pub(super) fn right_to_renew(text: &str) -> String {
        format!("{text}{RIGHT_TO_RENEW}")
    }

    /// How long other processes leave a load alone, unless it ends before.
    fn load_lease(&self) -> Duration {
        self.shared.settings.load_timeout.saturating_add(self.shared.settings.fill_lease)
    }

    /// Looks keys up in their slots, and ends the flights of those that are there. Answers those that are to be loaded, and those that another process is
    /// loading.
    pub(super) async fn look(&self, records: &dyn Records, wanted: Vec<Wanted<T>>, reason: Reason) -> (Vec<Wanted<T>>, Vec<Wanted<T>>) {
        let (mut ready, mut over, mut busy) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted = wanted.into_iter().peekable();
        while wanted.peek().is_some() {
            let mut chunk: Vec<Wanted<T>> = wanted.by_ref().take(CHUNK).collect();
            for wanted in &mut chunk {
                wanted.fence = self.fences.begin::<Borrowed<T>>(wanted.key.borrow());
                wanted.began = self.shared.settings.clock.monotonic();
                wanted.tagging = self.begin_tagging(&CallTags::default());
                (wanted.known, wanted.seen) = (None, None);
            }
            let texts: Vec<String> = chunk.iter().map(|wanted| wanted.text.clone()).collect();
            let slots = match records.fetch(&self.schema, &texts, Some(self.load_lease())).await {
                Ok(slots) => slots,
                Err(error) => {
                    self.tolerate(Role::Shared, "the shared tier did not answer a read; what is loaded is kept in memory alone", &error);
                    ready.extend(chunk.into_iter().map(|mut wanted| {
                        wanted.known = self.known_in_memory(&wanted.key);
                        wanted
                    }));
                    continue;
                }
            };
            for (mut wanted, slot) in chunk.into_iter().zip(slots) {
                match slot {
                    Slot::Record(record) if !self.slot_holds(records, &wanted.text, &record).await => {
                        self.remove_from_memory(&wanted);
                        self.counters().l2_misses.add(1);
                        wanted.seen = Some(Seen::Record(EncodedRecord { payload: Vec::new().into(), ..record }));
                        over.push(wanted);
                        continue;
                    }
                    Slot::Record(record) => {
                        let is_leaving = record.deadline.is_some_and(|end| end <= self.shared.settings.clock.now());
                        match self.land_from_slot(wanted, record, reason) {
                            Some(wanted) if wanted.seen.is_none() => ready.push(wanted),
                            // Whoever finds the slot empty in a moment has its lease.
                            Some(wanted) if is_leaving => busy.push(wanted),
                            Some(wanted) => over.push(wanted),
                            None => {}
                        }
                        continue;
                    }
                    Slot::Busy => {
                        self.remove_from_memory(&wanted);
                        busy.push(wanted);
                        continue;
                    }
                    Slot::Leased(lease) => wanted.seen = Some(Seen::Lease(lease)),
                    Slot::Foreign => self.tolerate_foreign(),
                    Slot::Empty => {}
                }
                // What memory still knows has left the shared tier, perhaps on purpose.
                self.remove_from_memory(&wanted);
                self.counters().l2_misses.add(1);
                ready.push(wanted);
            }
        }
        self.take_rights(records, over, reason, &mut ready, &mut busy).await;
        (ready, busy)
    }

    /// Ends the flights of keys that are missing from memory while this process renews them: with what the slot still holds, else with what the renewal brings.
    /// Answers those that it says nothing of.
    pub(super) async fn join_renewals(&self, records: &dyn Records, renewing: Vec<(Wanted<T>, Flight<Landed<T>>)>) -> Vec<Wanted<T>> {
        let joined = renewing.into_iter().map(async |(wanted, mut renewal)| {
            let wanted = self.look_without_lease(records, wanted).await?;
            match renewal.landed().await {
                Ok(landed @ (Landed::Found(Some(_)) | Landed::Failed { .. })) => {
                    wanted.landing.land(Ok(landed));
                    None
                }
                // Another process renews the key, or it is absent, which memory may remember.
                Ok(Landed::Found(None)) | Err(_) => self.land_from_memory(wanted),
            }
        });
        join_all(joined).await.into_iter().flatten().collect()
    }

    /// Ends the flight with what the key's slot holds, if that may be answered. A lease would keep the renewal from filling the slot.
    async fn look_without_lease(&self, records: &dyn Records, mut wanted: Wanted<T>) -> Option<Wanted<T>> {
        wanted.fence = self.fences.begin::<Borrowed<T>>(wanted.key.borrow());
        wanted.began = self.shared.settings.clock.monotonic();
        wanted.tagging = self.begin_tagging(&CallTags::default());
        let slots = records.fetch(&self.schema, std::slice::from_ref(&wanted.text), None).await;
        match slots.ok().and_then(|slots| slots.into_iter().next()) {
            Some(Slot::Record(record)) if self.slot_holds(records, &wanted.text, &record).await => {
                self.land_from_slot(wanted, record, Reason::Missing)
            }
            _ => Some(wanted),
        }
    }

    /// Ends the flight with what a slot holds, if that may be answered.
    fn land_from_slot(&self, mut wanted: Wanted<T>, record: EncodedRecord, reason: Reason) -> Option<Wanted<T>> {
        let found = match self.found_loaded(&wanted.text, &record) {
            Ok(found) => found,
            Err(error) => {
                wanted.fail(error);
                return None;
            }
        };
        if let Some(notes) = self.absence_in(&record) {
            if self.is_current(&notes, reason) {
                self.counters().l2_hits.add(1);
                self.keep_absence(&wanted, &notes, wanted.began);
                wanted.land(None);
                return None;
            }
        } else if let Some(found) = found {
            if found.notes.as_ref().is_none_or(|notes| self.is_current(notes, reason)) {
                self.counters().l2_hits.add(1);
                self.land_found(wanted, found);
                return None;
            }
            wanted.known = self.known_in_slot(found, &wanted.tagging);
        } else if record.generation != LOADED {
            // What another build has written is no copy, and stays.
            self.counters().l2_misses.add(1);
            return Some(wanted);
        }
        self.counters().l2_misses.add(1);
        wanted.seen = Some(Seen::Record(EncodedRecord { payload: Vec::new().into(), ..record }));
        Some(wanted)
    }

    fn land_found(&self, wanted: Wanted<T>, found: Found) {
        let Found { stored, deadline, tier, notes } = found;
        let notes = self.near_notes(&stored.row, notes, &wanted.tagging);
        match self.records(stored, View::Near) {
            Ok((near, answer)) => {
                self.forget_loaded_absence(wanted.key.borrow());
                self.install(wanted.fence, wanted.key.clone(), near.noted(notes), deadline, wanted.began);
                let began = wanted.began;
                wanted.land(Some(Loaded { record: answer, tier, began, is_stale: false }));
            }
            Err(error) => wanted.fail(error),
        }
    }

    /// Asks the other processes to leave the renewal of keys to this one.
    async fn take_rights(
        &self,
        records: &dyn Records,
        over: Vec<Wanted<T>>,
        reason: Reason,
        ready: &mut Vec<Wanted<T>>,
        busy: &mut Vec<Wanted<T>>,
    ) {
        let mut over = over.into_iter().peekable();
        while over.peek().is_some() {
            let chunk: Vec<Wanted<T>> = over.by_ref().take(CHUNK).collect();
            let names: Vec<String> = chunk.iter().map(|wanted| Self::right_to_renew(&wanted.text)).collect();
            let slots = records.fetch(&self.schema, &names, Some(self.load_lease())).await.unwrap_or_else(|error| {
                self.tolerate(Role::Shared, "other processes may renew the same values at once", &error);
                vec![Slot::Empty; chunk.len()]
            });
            for (mut wanted, slot) in chunk.into_iter().zip(slots) {
                match slot {
                    // Nobody waits for a renewal.
                    Slot::Busy if reason == Reason::Renewal => wanted.land(None),
                    Slot::Busy => busy.push(wanted),
                    slot => {
                        wanted.is_renewing = matches!(slot, Slot::Leased(_));
                        ready.push(wanted);
                    }
                }
            }
        }
    }

    pub(super) async fn give_rights_back(&self, records: &dyn Records, names: &[String]) {
        if let Err(error) = records.drop_loaded(&self.schema, Some(names)).await {
            self.tolerate(Role::Shared, "other processes wait for this one to renew a value that it has renewed", &error);
        }
    }

    /// Waits for other processes to load keys, up to `flight_wait`. Answers those that are left to be loaded.
    pub(super) async fn wait_for_loads(&self, records: &dyn Records, mut busy: Vec<Wanted<T>>, reason: Reason) -> Vec<Wanted<T>> {
        let begun = tokio::time::Instant::now();
        let (mut pause, mut ready) = (FIRST_PAUSE, Vec::new());
        while !busy.is_empty() && self.shared.life.is_open() && begun.elapsed() < self.shared.settings.flight_wait {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            let (mut now_ready, still_busy) = self.look(records, busy, reason).await;
            ready.append(&mut now_ready);
            busy = still_busy;
        }
        // Who takes too long keeps its lease: it may be about to fill the slot, and nothing waits for it but this.
        ready.append(&mut busy);
        ready
    }
}
