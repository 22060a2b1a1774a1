//! Random calls, faults, ends of life times and restarts, against a model: one linear store that knows, for each key, what may be stored.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store_testkit::{FaultTier, Faults, ManualClock, ModelRecords, Operation};
use strata::mem::MemTier;
use strata::{Collection, Error, ErrorKind, Query, Role, Store};
use tempfile::TempDir;

use store_tests::models::{City, city};
use store_tests::stacks::{open_sqlite, sqlite};

const KEYS: i64 = 4;
const L1_TTL: Duration = Duration::from_secs(10);
const L2_TTL: Duration = Duration::from_secs(25);

#[derive(Debug, Clone)]
enum Step {
    Get(i64),
    GetMany(Vec<i64>),
    GetFrom(Role, Vec<i64>),
    Exists(i64),
    Search,
    Stream,
    Set(i64),
    SetMany(Vec<i64>),
    Delete(i64),
    DeleteMany(Vec<i64>),
    Invalidate(i64),
    InvalidateAll,
    Warm,
    /// Another instance reads from the shared tier, and may fill it.
    ReadElsewhere(i64),
    Advance(Duration),
    /// Memory is lost, and what the store knew of slots to distrust; so is the shared tier's content where faults may have left some of them old.
    Restart,
    /// A read that has its answer, from the given tier, before the steps happen, and installs and shows it after them.
    Slow(Vec<i64>, Operation, Vec<Step>),
}

impl Step {
    /// Whether later readers of a key do not share a load that began before this.
    fn ends_flight(&self, key: i64) -> bool {
        match self {
            Step::Set(other) | Step::Delete(other) | Step::Invalidate(other) => *other == key,
            Step::SetMany(keys) | Step::DeleteMany(keys) => keys.contains(&key),
            Step::InvalidateAll => true,
            _ => false,
        }
    }
}

fn keys() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::vec(1..=KEYS, 1..4)
}

fn quick_step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![Just(Role::Near), Just(Role::Shared), Just(Role::Truth)];
    prop_oneof![
        5 => (1..=KEYS).prop_map(Step::Get),
        2 => keys().prop_map(Step::GetMany),
        2 => (role, keys()).prop_map(|(role, keys)| Step::GetFrom(role, keys)),
        1 => (1..=KEYS).prop_map(Step::Exists),
        2 => Just(Step::Search),
        1 => Just(Step::Stream),
        4 => (1..=KEYS).prop_map(Step::Set),
        2 => keys().prop_map(Step::SetMany),
        2 => (1..=KEYS).prop_map(Step::Delete),
        1 => keys().prop_map(Step::DeleteMany),
        1 => (1..=KEYS).prop_map(Step::Invalidate),
        1 => Just(Step::InvalidateAll),
        1 => Just(Step::Warm),
        2 => (1..=KEYS).prop_map(Step::ReadElsewhere),
        2 => (1_u64..30).prop_map(|seconds| Step::Advance(Duration::from_secs(seconds))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let point = prop_oneof![Just(Operation::Fetch), Just(Operation::GetMany), Just(Operation::Fill), Just(Operation::Select)];
    prop_oneof![
        12 => quick_step(),
        1 => Just(Step::Restart),
        3 => (keys(), point, proptest::collection::vec(quick_step(), 1..5)).prop_map(|(keys, point, steps)| Step::Slow(keys, point, steps)),
    ]
}

/// How often calls of the lower tiers fail, in percent.
#[derive(Debug, Clone, Copy)]
struct Weather {
    seed: u64,
    shared: u8,
    truth: u8,
}

fn weather() -> impl Strategy<Value = Weather> {
    let percent = || prop_oneof![Just(0_u8), Just(10), Just(40)];
    (any::<u64>(), percent(), percent()).prop_map(|(seed, shared, truth)| Weather { seed, shared, truth })
}

/// What may be stored under a key: populations, and `None` for no record. Several only after a write of which nobody knows whether it was stored.
type Possible = BTreeSet<Option<i64>>;

struct World {
    weather: Weather,
    clock: ManualClock,
    shared: ModelRecords,
    records: Arc<FaultTier>,
    tables: Arc<FaultTier>,
    shared_faults: Faults,
    truth_faults: Faults,
    store: Store,
    elsewhere: Store,
    possible: Vec<Possible>,
    last_population: i64,
    _directory: TempDir,
}

impl World {
    async fn new(weather: Weather) -> Self {
        let clock = ManualClock::new();
        let shared = ModelRecords::with_clock(Arc::new(clock.clone()));
        let (directory, tables) = sqlite().await;
        let (records, tables) = (Arc::new(FaultTier::new(shared.clone())), Arc::new(FaultTier::new(tables)));
        let store = Self::open(Arc::clone(&records), Arc::clone(&tables), &clock).await;
        let other = (Arc::new(FaultTier::new(shared.clone())), Arc::new(FaultTier::new(open_sqlite(&directory).await)));
        let elsewhere = Self::open(other.0, other.1, &clock).await;
        let (shared_faults, truth_faults) = (records.faults(), tables.faults());
        let of_records = [Operation::Fetch, Operation::Fill, Operation::Replace, Operation::Remove, Operation::Clear];
        shared_faults.random(weather.seed, weather.shared, &of_records, ErrorKind::L2Unavailable);
        use Operation::{Count, DeleteMany, ExistsMany, GetMany, LogAppend, PutMany, Select};
        let of_tables = [GetMany, ExistsMany, PutMany, DeleteMany, Select, Count, LogAppend];
        truth_faults.random(!weather.seed, weather.truth, &of_tables, ErrorKind::L3Unavailable);
        let possible = vec![Possible::from([None]); KEYS as usize];
        let last_population = 0;
        World {
            weather,
            clock,
            shared,
            records,
            tables,
            shared_faults,
            truth_faults,
            store,
            elsewhere,
            possible,
            last_population,
            _directory: directory,
        }
    }

    async fn open(records: Arc<FaultTier>, tables: Arc<FaultTier>, clock: &ManualClock) -> Store {
        let builder = Store::builder().near(MemTier::new()).tier(records).tier(tables).schema_with::<City>(|options| {
            options.policies.near.ttl = L1_TTL.into();
            options.policies.near.max_entries = Some(KEYS as u64 - 1);
            options.policies.shared.ttl = L2_TTL.into();
            options.policies.negative_ttl = Some(L1_TTL / 2);
        });
        let builder = builder.configure(|settings| {
            settings.clock = Arc::new(clock.clone());
            // Each fault meets the call that it was ordered for, and no other.
            settings.breaker.enabled = false;
            settings.retries = 0;
            // A lease that a fault left behind ends only when the test turns the hands.
            settings.flight_wait = Duration::from_millis(2);
        });
        builder.build().await.expect("the stack is sound")
    }

    fn cities(&self) -> Collection<City> {
        self.store.collection().expect("the store has the model")
    }

    fn possible(&mut self, key: i64) -> &mut Possible {
        &mut self.possible[key as usize - 1]
    }

    /// Checks an answer, which settles what was unknown.
    fn saw(&mut self, key: i64, population: Option<i64>) {
        let possible = self.possible(key);
        assert!(possible.contains(&population), "key {key} shows {population:?}, but only {possible:?} can be stored");
        *possible = Possible::from([population]);
    }

    /// Takes the answer of a call that reads. Only the truth's failures may be seen.
    fn read<R>(&self, answer: Result<R, Error>) -> Option<R> {
        answer.inspect_err(|error| self.excuse(error)).ok()
    }

    fn excuse(&self, error: &Error) {
        assert!(self.weather.truth > 0 && error.kind() == ErrorKind::L3Unavailable, "{error:?}");
    }

    fn new_city(&mut self, key: i64) -> City {
        self.last_population += 1;
        City { population: self.last_population, ..city(key) }
    }

    /// Notes what a write did, or may have done.
    fn wrote(&mut self, changes: &[(i64, Option<i64>)], answer: Result<(), Error>) {
        // The last change of a key counts.
        let last: std::collections::BTreeMap<i64, Option<i64>> = changes.iter().copied().collect();
        for (key, population) in last {
            match &answer {
                Ok(()) => *self.possible(key) = Possible::from([population]),
                Err(error) => {
                    self.excuse(error);
                    self.possible(key).insert(population);
                }
            }
        }
    }

    fn take<'a>(&'a mut self, step: &'a Step) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            let cities = self.cities();
            match step {
                Step::Get(key) => {
                    if let Some(found) = self.read(cities.get(key).await) {
                        self.saw(*key, found.map(|city| city.population));
                    }
                }
                Step::GetMany(keys) => {
                    for (key, found) in keys.iter().zip(self.read(cities.get_many(keys).await).into_iter().flatten()) {
                        self.saw(*key, found.map(|city| city.population));
                    }
                }
                Step::GetFrom(role, keys) => {
                    for (key, found) in keys.iter().zip(self.read(cities.from(*role).get_many(keys).await).into_iter().flatten()) {
                        self.saw(*key, found.map(|city| city.population));
                    }
                    if let Some(found) = self.read(cities.from(*role).get(keys[0]).await) {
                        self.saw(keys[0], found.map(|city| city.population));
                    }
                }
                Step::Exists(key) => {
                    if let Some(exists) = self.read(cities.exists(key).await) {
                        let possible = self.possible(*key);
                        possible.retain(|population| population.is_some() == exists);
                        assert!(!possible.is_empty(), "key {key} exists: {exists}");
                    }
                }
                Step::Search => {
                    if let Some(found) = self.read(cities.search(Query::new()).await) {
                        self.saw_all(&found);
                    }
                }
                Step::Stream => {
                    let found = cities.stream(Query::new()).expect("a stream begins").try_collect::<Vec<_>>().await;
                    if let Some(found) = self.read(found) {
                        self.saw_all(&found);
                    }
                }
                Step::Set(key) => {
                    let city = self.new_city(*key);
                    let change = (*key, Some(city.population));
                    let answer = cities.set(city.clone()).await.map(|stored| assert_eq!(**stored.model(), city));
                    self.wrote(&[change], answer);
                }
                Step::SetMany(keys) => {
                    let batch: Vec<City> = keys.iter().map(|key| self.new_city(*key)).collect();
                    let changes: Vec<_> = batch.iter().map(|city| (city.id, Some(city.population))).collect();
                    self.wrote(&changes, cities.set_many(batch).await.map(drop));
                }
                Step::Delete(key) => self.wrote(&[(*key, None)], cities.delete(key).await.map(drop)),
                Step::DeleteMany(keys) => {
                    let changes: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
                    self.wrote(&changes, cities.delete_many(keys).await.map(drop));
                }
                Step::Invalidate(key) => self.invalidated(cities.invalidate(key).await),
                Step::InvalidateAll => self.invalidated(cities.invalidate_all().await.map(drop)),
                Step::Warm => drop(self.read(cities.warm(None).await)),
                Step::ReadElsewhere(key) => {
                    let elsewhere = self.elsewhere.collection::<City>().expect("the store has the model");
                    elsewhere.from(Role::Shared).get(key).await.expect("nothing fails there");
                }
                Step::Advance(by) => self.clock.advance(*by),
                Step::Restart => {
                    self.store = Self::open(Arc::clone(&self.records), Arc::clone(&self.tables), &self.clock).await;
                    if self.weather.shared > 0 {
                        self.shared.lose_everything();
                    }
                }
                Step::Slow(keys, point, steps) => self.read_slowly(keys, *point, steps).await,
            }
        })
    }

    fn saw_all(&mut self, found: &[Arc<City>]) {
        for key in 1..=KEYS {
            let population = found.iter().find(|city| city.id == key).map(|city| city.population);
            self.saw(key, population);
        }
    }

    /// An invalidation tells of any tier that could not be told.
    fn invalidated(&self, answer: Result<(), Error>) {
        if let Err(error) = answer {
            let excused = match error.kind() {
                ErrorKind::L2Unavailable => self.weather.shared,
                _ => self.weather.truth,
            };
            assert!(excused > 0, "{error:?}");
        }
    }

    async fn read_slowly(&mut self, keys: &[i64], point: Operation, steps: &[Step]) {
        let hold = match point {
            Operation::Fetch => self.shared_faults.hold_after(point),
            Operation::Fill => self.shared_faults.hold_before(point),
            _ => self.truth_faults.hold_after(point),
        };
        let (cities, wanted) = (self.cities(), keys.to_vec());
        let mut reading = tokio::spawn(async move {
            if point == Operation::Select {
                let found = cities.search(Query::new()).await?;
                return Ok(wanted.iter().map(|key| found.iter().find(|city| city.id == *key).map(|city| city.population)).collect());
            }
            if let [key] = wanted[..] {
                return Ok(vec![cities.get(key).await?.map(|city| city.population)]);
            }
            let found = cities.get_many(&wanted).await?;
            Ok::<Vec<Option<i64>>, Error>(found.into_iter().map(|city| city.map(|city| city.population)).collect())
        });
        // It may never come to the gate: what it wants is in memory, or an earlier call fails.
        let mut early = None;
        tokio::select! {
            () = hold.arrived() => {}
            answer = &mut reading => early = Some(answer.expect("a read does not panic")),
        }
        let hold = early.is_none().then_some(hold);
        let mut during: Vec<Possible> = keys.iter().map(|key| self.possible(*key).clone()).collect();
        let mut flight = if early.is_none() && point != Operation::Select && keys.len() == 1 { Some(keys[0]) } else { None };
        for step in steps {
            if flight.is_some_and(|key| step.ends_flight(key)) {
                flight = None;
            }
            // A plain read shares the flight that is held, and would wait for ever.
            if flight.is_some_and(|key| matches!(step, Step::Get(other) if *other == key)) {
                continue;
            }
            self.take(step).await;
            for (possible, key) in during.iter_mut().zip(keys) {
                possible.extend(self.possible[*key as usize - 1].iter().copied());
            }
        }
        drop(hold);
        let answer = match early {
            Some(answer) => answer,
            None => reading.await.expect("a read does not panic"),
        };
        if let Some(found) = self.read(answer) {
            for ((key, population), possible) in keys.iter().zip(found).zip(&during) {
                assert!(possible.contains(&population), "key {key} showed {population:?}, but only {possible:?} was stored meanwhile");
            }
        }
    }

    /// With all faults over, everybody sees what is stored.
    async fn settle(&mut self) {
        self.shared_faults.heal();
        self.truth_faults.heal();
        for key in 1..=KEYS {
            self.take(&Step::Get(key)).await;
            self.take(&Step::GetFrom(Role::Truth, vec![key])).await;
        }
        let stored: Vec<Option<i64>> = self.possible.iter().map(|possible| *possible.first().expect("something is possible")).collect();
        store_tests::waiting::until("the shared tier is in step", async || {
            let fresh = Self::open(Arc::clone(&self.records), Arc::clone(&self.tables), &self.clock).await;
            let found = fresh.collection::<City>().expect("the store has the model").get_many(1..=KEYS).await.expect("nothing fails");
            found.iter().map(|city| city.as_ref().map(|city| city.population)).eq(stored.iter().copied())
        })
        .await;
    }
}

#[test]
fn no_answer_is_older_than_what_the_store_was_told() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be made");
    let mut runner = TestRunner::new(Config { failure_persistence: None, max_shrink_iters: 300, ..Config::default() });
    let cases = (weather(), proptest::collection::vec(step(), 1..40));
    let result = runner.run(&cases, |(weather, steps)| {
        runtime.block_on(async {
            let mut world = World::new(weather).await;
            for step in &steps {
                world.take(step).await;
            }
            world.settle().await;
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
