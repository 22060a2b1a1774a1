//! Random calls, on the implementation and on the model, with the same answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use store_core::facet::{Fill, FillLease, PutOver, Records, Relay, Removal, Seen, Slot};
use store_core::{BoundSchema, EncodedRecord, Version};
use tokio::runtime::Handle;

use super::RecordsServer;
use super::bench::{Bench, LONG, past, record};
use crate::records_model::ModelRecords;

const CASES: u32 = 100;
const MOST_CALLS: usize = 30;
const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Call {
    Fetch(Vec<&'static str>, bool),
    /// With one of the leases granted so far, or with none of them; not always of the same key.
    Fill(Vec<(&'static str, usize, EncodedRecord)>),
    Replace(Vec<(&'static str, EncodedRecord)>),
    TakeOver(Vec<(&'static str, EncodedRecord)>),
    /// Removals, some below a version, and whether the whole schema is emptied.
    Relay(Vec<(&'static str, Option<u64>)>, bool),
    Remove(Vec<&'static str>),
    Clear,
    Put(Vec<(&'static str, EncodedRecord)>),
    /// Over what is there, or over something else.
    PutOver(Vec<(&'static str, bool, EncodedRecord)>),
    /// Of some keys, or of all.
    DropLoaded(Option<Vec<&'static str>>),
    Delete(Vec<&'static str>),
    PutForeignContent(&'static str),
}

fn key() -> impl Strategy<Value = &'static str> {
    select(KEYS.as_slice())
}

fn keys() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(key(), 1..4)
}

fn any_record() -> impl Strategy<Value = EncodedRecord> {
    let parts = (0..4_u64, 0..2_u64, 0..2_u64, 0..2_u8, prop::bool::weighted(0.1));
    parts.prop_map(|(version, generation, fingerprint, payload, is_over)| EncodedRecord {
        generation,
        fingerprint,
        payload: Bytes::from(vec![payload; 3]),
        deadline: is_over.then(past),
        ..record(version)
    })
}

fn keyed_records() -> impl Strategy<Value = Vec<(&'static str, EncodedRecord)>> {
    prop::collection::vec((key(), any_record()), 1..4)
}

fn common_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => keys().prop_map(|keys| Call::Fetch(keys, false)),
        2 => keys().prop_map(Call::Remove),
        1 => Just(Call::Clear),
        1 => key().prop_map(Call::PutForeignContent),
    ]
}

fn caching_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => common_call(),
        2 => keys().prop_map(|keys| Call::Fetch(keys, true)),
        2 => prop::collection::vec((key(), 0..8_usize, any_record()), 1..4).prop_map(Call::Fill),
        2 => keyed_records().prop_map(Call::Replace),
        1 => keyed_records().prop_map(Call::TakeOver),
        1 => (prop::collection::vec((key(), prop::option::of(0..4_u64)), 0..4), prop::bool::weighted(0.1))
            .prop_map(|(removals, whole)| Call::Relay(removals, whole)),
    ]
}

fn truth_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => common_call(),
        1 => keys().prop_map(|keys| Call::Fetch(keys, true)),
        1 => keyed_records().prop_map(Call::Put),
        2 => prop::collection::vec((key(), prop::bool::weighted(0.8), any_record()), 1..4).prop_map(Call::PutOver),
        1 => prop::option::weighted(0.8, keys()).prop_map(Call::DropLoaded),
        1 => keys().prop_map(Call::Delete),
    ]
}

/// The calls of a cache.
pub async fn caching_follows_the_model<S: RecordsServer>(bench: &Bench<S>) {
    follows_the_model(bench, caching_call());
}

/// The calls of a tier of truth: put, delete, fetch, remove and clear.
pub async fn keeping_the_truth_follows_the_model<S: RecordsServer>(bench: &Bench<S>) {
    follows_the_model(bench, truth_call());
}

fn follows_the_model<S: RecordsServer>(bench: &Bench<S>, call: impl Strategy<Value = Call>) {
    let schemas = AtomicU64::new(0);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(call, 1..MOST_CALLS), |calls| {
        let schema = Arc::new(bench.schema_with_suffix(&schemas.fetch_add(1, Ordering::Relaxed).to_string()));
        let pair = Pair { bench, schema, model: ModelRecords::new(), leases: Vec::new(), newest: [0; 3] };
        tokio::task::block_in_place(|| Handle::current().block_on(pair.make(calls)))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// An implementation and the model, which are given the same calls.
struct Pair<'a, S> {
    bench: &'a Bench<S>,
    schema: Arc<BoundSchema>,
    model: ModelRecords,
    /// The leases that the two granted for the same miss.
    leases: Vec<(FillLease, FillLease)>,
    /// The newest version that the implementation issued for each key.
    newest: [u64; 3],
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn owned_records(records: &[(&str, EncodedRecord)]) -> Vec<(String, EncodedRecord)> {
    records.iter().map(|(key, record)| ((*key).to_owned(), record.clone())).collect()
}

impl<S: RecordsServer> Pair<'_, S> {
    async fn make(mut self, calls: Vec<Call>) -> Result<(), TestCaseError> {
        for call in calls {
            self.call(&call).await.map_err(|error| TestCaseError::fail(error.to_string()))??;
        }
        self.call(&Call::Fetch(KEYS.to_vec(), false)).await.map_err(|error| TestCaseError::fail(error.to_string()))?
    }

    async fn call(&mut self, call: &Call) -> store_core::Result<Result<(), TestCaseError>> {
        let (tested, model, schema) = (&self.bench.records, &self.model, &self.schema);
        Ok(match call {
            Call::Fetch(keys, lease) => {
                let (keys, lease) = (owned(keys), lease.then_some(LONG));
                let slots = (tested.fetch(schema, &keys, lease).await?, model.fetch(schema, &keys, lease).await?);
                self.compare_slots(slots)
            }
            Call::Fill(fills) => {
                let lease_of = |number: usize| self.leases.get(number).copied().unwrap_or((FillLease::new(0), FillLease::new(0)));
                let fills_of = |side: fn((FillLease, FillLease)) -> FillLease| -> Vec<Fill> {
                    let fill = |(key, number, record): &(&str, usize, EncodedRecord)| Fill {
                        key: (*key).to_owned(),
                        lease: side(lease_of(*number)),
                        record: record.clone(),
                    };
                    fills.iter().map(fill).collect()
                };
                let tested = tested.fill(schema, &fills_of(|(tested, _)| tested)).await?;
                same(&tested, &model.fill(schema, &fills_of(|(_, model)| model)).await?)
            }
            Call::Replace(records) => {
                let records = owned_records(records);
                same(&tested.replace(schema, &records).await?, &model.replace(schema, &records).await?)
            }
            Call::TakeOver(records) => {
                let mut owned = owned_records(records);
                for (key, record) in &mut owned {
                    // Versions tell payloads apart in practice, which tiers may rely on.
                    if let [Slot::Record(present)] = &model.fetch(schema, std::slice::from_ref(key), None).await?[..] {
                        record.payload = present.payload.clone();
                    }
                }
                let tested = tested.take_over(schema, &owned, LONG).await?;
                let model = model.take_over(schema, &owned, LONG).await?;
                self.leases.extend(tested.iter().copied().zip(model.iter().copied()).filter_map(|(tested, model)| tested.zip(model)));
                let taken = |leases: &[Option<FillLease>]| leases.iter().map(Option::is_some).collect::<Vec<_>>();
                same(&taken(&tested), &taken(&model))
            }
            Call::Relay(removals, whole) => {
                let removal = |(key, below): &(&str, Option<u64>)| Removal {
                    schema: Arc::clone(schema),
                    key: Some((*key).to_owned()),
                    below: below.map(Version::new),
                };
                let mut removals: Vec<Removal> = removals.iter().map(removal).collect();
                if *whole {
                    removals.push(Removal { schema: Arc::clone(schema), key: None, below: None });
                }
                let relay = Relay { removals, ..Relay::default() };
                tested.relay(&relay).await?;
                same(&(), &model.relay(&relay).await?)
            }
            Call::Remove(keys) => {
                tested.remove(schema, &owned(keys)).await?;
                same(&(), &model.remove(schema, &owned(keys)).await?)
            }
            Call::Clear => same(&tested.clear(schema).await?, &model.clear(schema).await?),
            Call::Put(records) => {
                let owned = owned_records(records);
                let versions = tested.put(schema, &owned).await?;
                let model_versions = model.put(schema, &owned).await?;
                let keys: Vec<_> = records.iter().map(|(key, _)| *key).collect();
                same(&versions.len(), &model_versions.len()).and_then(|()| self.rise(&keys, versions.into_iter().map(Some)))
            }
            Call::PutOver(puts) => {
                let mut told = Vec::new();
                for (key, over_present, record) in puts {
                    let seen = self.seen(key, *over_present).await?;
                    let put = |seen| [PutOver { key: (*key).to_owned(), seen, record: record.clone() }];
                    let version = tested.put_over(schema, &put(seen.0)).await?;
                    let model_version = model.put_over(schema, &put(seen.1)).await?;
                    told.push((*key, version[0], model_version[0].is_some()));
                }
                let mut same_so_far = Ok(());
                for (key, version, is_put) in told {
                    same_so_far = same_so_far.and(same(&version.is_some(), &is_put)).and_then(|()| self.rise(&[key], [version]));
                }
                same_so_far
            }
            Call::DropLoaded(keys) => {
                let keys = keys.as_ref().map(|keys| owned(keys));
                same(&tested.drop_loaded(schema, keys.as_deref()).await?, &model.drop_loaded(schema, keys.as_deref()).await?)
            }
            Call::Delete(keys) => {
                let deleted = tested.delete(schema, &owned(keys)).await?;
                let presence = |versions: &[Option<Version>]| versions.iter().map(Option::is_some).collect::<Vec<_>>();
                let expected = presence(&model.delete(schema, &owned(keys)).await?);
                same(&presence(&deleted), &expected).and_then(|()| self.rise(keys, deleted))
            }
            Call::PutForeignContent(key) => {
                self.bench.server.put_foreign_content(schema, key).await;
                model.put_foreign_content(schema, key);
                Ok(())
            }
        })
    }

    /// What each of the two holds of a key, or else what neither does.
    async fn seen(&self, key: &str, present: bool) -> store_core::Result<(Seen, Seen)> {
        let keys = [key.to_owned()];
        let tested = self.bench.records.fetch(&self.schema, &keys, None).await?.remove(0);
        let model = self.model.fetch(&self.schema, &keys, None).await?.remove(0);
        Ok(match (tested, model) {
            (Slot::Record(tested), Slot::Record(model)) if present => (Seen::Record(tested), Seen::Record(model)),
            (Slot::Busy, Slot::Busy) if present => match self.leases.last() {
                Some(&(tested, model)) => (Seen::Lease(tested), Seen::Lease(model)),
                None => (Seen::Record(record(9)), Seen::Record(record(9))),
            },
            _ => (Seen::Record(record(9)), Seen::Record(record(9))),
        })
    }

    /// Compares what two fetches of the same keys found. Issued versions are the implementation's own.
    fn compare_slots(&mut self, (tested, model): (Vec<Slot>, Vec<Slot>)) -> Result<(), TestCaseError> {
        same(&tested.len(), &model.len())?;
        for slots in tested.into_iter().zip(model) {
            match slots {
                (Slot::Leased(tested), Slot::Leased(model)) => self.leases.push((tested, model)),
                (Slot::Record(tested), Slot::Record(model)) if self.newest != [0; 3] => {
                    same(&EncodedRecord { version: model.version, ..tested }, &model)?;
                }
                (tested, model) => same(&tested, &model)?,
            }
        }
        Ok(())
    }

    /// Checks that the versions of each key rise.
    fn rise(&mut self, keys: &[&str], versions: impl IntoIterator<Item = Option<Version>>) -> Result<(), TestCaseError> {
        for (key, version) in keys.iter().zip(versions) {
            let newest = &mut self.newest[KEYS.iter().position(|other| other == key).unwrap_or_default()];
            if let Some(version) = version {
                prop_assert!(version.get() > *newest, "version {version} of {key} follows {newest}");
                *newest = version.get();
            }
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(tested: &T, model: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(tested, model, "the implementation answers the left, the model the right");
    Ok(())
}
