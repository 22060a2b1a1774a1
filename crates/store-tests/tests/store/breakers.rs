//! Breakers and retries: what reaches a tier that fails.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use store_testkit::{Fault, FaultTier, Faults, Hold, ManualClock, ModelRecords, Operation};
use strata::mem::MemTier;
use strata::{BreakerState, Collection, Error, ErrorKind, Query, Result, Role, Settings, Store, StoreBuilder};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use store_tests::models::{City, Player, city, player};
use store_tests::stacks;

const REFUSED: Fault = Fault::FailBefore(ErrorKind::L2Unavailable);
const LOST_BY_SHARED: Fault = Fault::FailAfter(ErrorKind::L2Unavailable);
const LOST: Fault = Fault::FailAfter(ErrorKind::L3Unavailable);
const DEFAULT_FAILURES: u64 = 5;
const COOL_DOWN: Duration = Duration::from_secs(1);

/// Longer than any change takes to be told.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shared tier that is the truth, and nothing else: no task of the store calls it unless something was written.
struct Shared {
    store: Store,
    clock: ManualClock,
    faults: Faults,
}

impl Shared {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    async fn open_with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = ManualClock::new();
        let tier = FaultTier::new(ModelRecords::with_clock(Arc::new(clock.clone())));
        let faults = tier.faults();
        let builder = Store::builder().tier(tier).schema_with::<City>(|options| options.policies.cache_only = true);
        let builder = builder.configure(|settings| settings.clock = Arc::new(clock.clone())).configure(change);
        Shared { store: builder.build().await.unwrap(), clock, faults }
    }

    fn cities(&self) -> Collection<City> {
        self.store.collection().unwrap()
    }

    fn state(&self) -> BreakerState {
        self.store.health().tier(Role::Shared).unwrap().state
    }

    /// Opens the breaker by an outage, which is over when this returns.
    async fn fail(&self) {
        self.faults.outage(REFUSED);
        while self.state() != BreakerState::Open {
            self.cities().set(city(1)).await.unwrap_err();
        }
        self.faults.heal();
    }
}

fn refused<R: std::fmt::Debug>(result: Result<R>) -> Error {
    let error = result.unwrap_err();
    assert!(error.to_string().contains("was not asked: its breaker has been open"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_that_failed_five_times_in_a_row_is_not_asked_until_it_is_tried() {
    let shared = Shared::open().await;
    let (cities, faults) = (shared.cities(), &shared.faults);
    faults.outage(REFUSED);
    for _ in 0..DEFAULT_FAILURES {
        let error = cities.set(city(1)).await.unwrap_err();
        assert!(!error.to_string().contains("breaker"), "{error}");
    }
    assert_eq!(faults.calls(Operation::Put), DEFAULT_FAILURES);
    for error in [refused(cities.set(city(1)).await), refused(cities.get(1).await), refused(cities.delete(1).await)] {
        assert_eq!((error.kind(), error.tier()), (ErrorKind::L2Unavailable, Some(Role::Shared)));
        assert!(error.is_retryable());
    }
    let calls = [Operation::Put, Operation::Fetch, Operation::Delete].map(|operation| faults.calls(operation));
    assert_eq!(calls, [DEFAULT_FAILURES, 0, 0]);

    faults.heal();
    refused(cities.set(city(1)).await);
    shared.clock.advance(COOL_DOWN);
    cities.set(city(1)).await.unwrap();
    assert_eq!(cities.get(1).await.unwrap().unwrap().id, 1);
    assert_eq!(faults.calls(Operation::Put), DEFAULT_FAILURES + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_errors_open_nothing() {
    let shared = Shared::open().await;
    shared.faults.outage(Fault::FailBefore(ErrorKind::AccessDenied));
    for _ in 0..4 * DEFAULT_FAILURES {
        assert_eq!(shared.cities().set(city(1)).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    }
    assert_eq!((shared.state(), shared.faults.calls(Operation::Put)), (BreakerState::Closed, 4 * DEFAULT_FAILURES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_at_a_time_tries_the_tier() {
    let shared = Shared::open().await;
    shared.fail().await;
    let (cities, before) = (shared.cities(), shared.faults.calls(Operation::Put));
    shared.clock.advance(COOL_DOWN);
    let hold = shared.faults.hold_before(Operation::Put);
    let probe = tokio::spawn({
        let cities = cities.clone();
        async move { cities.set(city(1)).await }
    });
    hold.arrived().await;
    assert_eq!(shared.state(), BreakerState::HalfOpen);
    let others = (2..18).map(|id| {
        tokio::spawn({
            let cities = cities.clone();
            async move { cities.set(city(id)).await.map(drop) }
        })
    });
    for other in others.collect::<Vec<_>>() {
        assert!(refused(other.await.unwrap()).to_string().contains("one call is trying it now"));
    }
    assert_eq!(shared.faults.calls(Operation::Put), before + 1);
    hold.release();
    probe.await.unwrap().unwrap();
    assert_eq!(shared.state(), BreakerState::Closed);
    cities.set(city(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_fails_lets_the_pause_grow() {
    let shared = Shared::open().await;
    shared.fail().await;
    let before = shared.faults.calls(Operation::Fetch);
    shared.clock.advance(COOL_DOWN);
    shared.faults.always(Operation::Fetch, REFUSED);
    shared.cities().get(1).await.unwrap_err();
    assert_eq!(shared.faults.calls(Operation::Fetch), before + 2);
    shared.faults.heal();
    shared.clock.advance(COOL_DOWN);
    refused(shared.cities().get(1).await);
    shared.clock.advance(COOL_DOWN);
    assert_eq!(shared.cities().get(1).await.unwrap(), None);
}

/// The first connection that a try meets may have died in the outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_is_lost_is_made_once_more_where_that_is_safe() {
    let shared = Shared::open().await;
    shared.fail().await;
    shared.clock.advance(COOL_DOWN);
    shared.faults.next(Operation::Fetch, REFUSED);
    assert_eq!(shared.cities().get(1).await.unwrap(), None);
    assert_eq!(shared.state(), BreakerState::Closed);

    for (change, operation) in [((|settings| settings.retries = 0) as fn(&mut Settings), Operation::Fetch), (|_| {}, Operation::Put)] {
        let shared = Shared::open_with(change).await;
        shared.fail().await;
        let before = shared.faults.calls(operation);
        shared.clock.advance(COOL_DOWN);
        shared.faults.next(operation, REFUSED);
        match operation {
            Operation::Put => drop(shared.cities().set(city(1)).await.unwrap_err()),
            _ => drop(shared.cities().get(1).await.unwrap_err()),
        }
        assert_eq!((shared.faults.calls(operation), shared.state()), (before + 1, BreakerState::Open));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_whose_caller_gives_up_makes_way_for_another() {
    let shared = Shared::open().await;
    shared.fail().await;
    shared.clock.advance(COOL_DOWN);
    let hold = shared.faults.hold_before(Operation::Fetch);
    let reader = shared.cities().from(Role::Truth);
    let probe = tokio::spawn(async move { reader.get(1).await });
    hold.arrived().await;
    refused(shared.cities().get(1).await);
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    assert_eq!(shared.cities().get(1).await.unwrap(), None);
    assert_eq!(shared.state(), BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breakers_that_are_off_hold_nobody_back() {
    let shared = Shared::open_with(|settings| settings.breaker.enabled = false).await;
    shared.fail().await;
    shared.faults.outage(REFUSED);
    let before = shared.faults.calls(Operation::Put);
    shared.cities().set(city(1)).await.unwrap_err();
    assert_eq!(shared.faults.calls(Operation::Put), before + 1);
    shared.faults.heal();
    shared.cities().set(city(1)).await.unwrap();
    assert_eq!(shared.state(), BreakerState::Closed);
}

/// SQLite alone, whose background readers are held, so that every call is the test's.
struct Truth {
    store: Store,
    clock: ManualClock,
    faults: Faults,
    directory: TempDir,
    _quiet: [Hold; 2],
}

impl Truth {
    async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = ManualClock::new();
        let (directory, sqlite) = stacks::sqlite().await;
        let tier = FaultTier::new(sqlite);
        let faults = tier.faults();
        let quiet = [Operation::LogRead, Operation::LogLead].map(|operation| faults.hold_before(operation));
        let builder = Store::builder().tier(tier).schema::<City>().configure(|settings| {
            settings.clock = Arc::new(clock.clone());
            settings.freshness = Duration::from_secs(3_600);
        });
        let store = builder.configure(change).build().await.unwrap();
        for hold in &quiet {
            hold.arrived().await;
        }
        Truth { store, clock, faults, directory, _quiet: quiet }
    }

    fn cities(&self) -> Collection<City> {
        self.store.collection().unwrap()
    }

    /// Writes cities by a store of their own: what that tells others later is no call of the store's under test.
    async fn hold_cities(&self) {
        let sqlite = stacks::open_sqlite(&self.directory).await;
        let writer = Store::builder().tier(sqlite).schema::<City>().build().await.unwrap();
        writer.collection::<City>().unwrap().set_many((1..=3).map(city)).await.unwrap();
        writer.close().await.unwrap();
    }

    fn state(&self) -> BreakerState {
        self.store.health().tier(Role::Truth).unwrap().state
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_streams_counts_by_its_first_row_or_its_failure() {
    let truth = Truth::open(|settings| settings.breaker.failures = 2).await;
    let (cities, faults) = (truth.cities(), &truth.faults);
    truth.hold_cities().await;
    let stream = || cities.stream(Query::new()).unwrap();

    // A row, and a failure behind the last one.
    faults.next(Operation::Select, LOST);
    assert_eq!(stream().filter(|row| std::future::ready(row.is_ok())).count().await, 3);
    assert_eq!(truth.store.health().tier(Role::Truth).unwrap().consecutive_failures, 1);
    faults.next(Operation::Select, Fault::FailBefore(ErrorKind::Timeout));
    assert_eq!(stream().next().await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!((truth.state(), faults.calls(Operation::Select)), (BreakerState::Open, 2));

    let mut held_back = stream();
    assert_eq!(refused(held_back.next().await.unwrap()).kind(), ErrorKind::L3Unavailable);
    assert!(held_back.next().await.is_none());
    assert_eq!(faults.calls(Operation::Select), 2);

    truth.clock.advance(COOL_DOWN);
    let hold = faults.hold_before(Operation::Select);
    let mut given_up = stream();
    let probe = tokio::spawn(async move { given_up.next().await.is_some() });
    hold.arrived().await;
    refused(cities.count(Query::new()).await);
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());

    // The first row is the answer, however long the others take.
    let mut slow = stream();
    slow.next().await.unwrap().unwrap();
    assert_eq!(truth.state(), BreakerState::Closed);
    assert_eq!(cities.count(Query::new()).await.unwrap(), 3);
    assert_eq!(slow.count().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_without_rows_is_an_answer() {
    let truth = Truth::open(|settings| settings.breaker.failures = 1).await;
    truth.faults.next(Operation::PutMany, Fault::FailBefore(ErrorKind::L3Unavailable));
    truth.cities().set(city(1)).await.unwrap_err();
    truth.clock.advance(COOL_DOWN);
    assert_eq!(truth.cities().search(Query::new()).await.unwrap().len(), 0);
    assert_eq!(truth.state(), BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_of_the_truth_are_made_again_and_writes_are_not() {
    let truth = Truth::open(|_| {}).await;
    let (cities, faults) = (truth.cities(), &truth.faults);
    cities.set(city(1)).await.unwrap();
    let calls = |operation| faults.calls(operation);

    let before = [Operation::GetMany, Operation::ExistsMany, Operation::Count].map(calls);
    for operation in [Operation::GetMany, Operation::ExistsMany, Operation::Count] {
        faults.next(operation, LOST);
    }
    assert!(cities.get(1).await.unwrap().is_some());
    assert!(cities.exists(1).await.unwrap());
    assert_eq!(cities.count(Query::new()).await.unwrap(), 1);
    assert_eq!([Operation::GetMany, Operation::ExistsMany, Operation::Count].map(calls), before.map(|before| before + 2));

    let writes = [Operation::PutMany, Operation::DeleteMany, Operation::LogAppend];
    let before = writes.map(calls);
    writes.iter().for_each(|operation| faults.next(*operation, LOST));
    let errors = [cities.set(city(2)).await.map(drop), cities.delete(2).await.map(drop), cities.invalidate(1).await]
        .map(|result| result.unwrap_err().kind());
    assert_eq!(errors, [ErrorKind::L3Unavailable; 3]);
    assert_eq!(writes.map(calls), before.map(|before| before + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shared_tier_is_told_is_told_again_and_what_it_grants_or_counts_is_not() {
    let (directory, sqlite) = stacks::sqlite().await;
    let earlier = Store::builder().tier(stacks::open_sqlite(&directory).await).schema::<City>().build().await.unwrap();
    earlier.collection::<City>().unwrap().set(city(1)).await.unwrap();
    earlier.close().await.unwrap();
    let (shared, truth) = (FaultTier::new(ModelRecords::new()), FaultTier::new(sqlite));
    let (faults, truth_faults) = (shared.faults(), truth.faults());
    // The relayer does its first step within `build`, and no other.
    let lead = truth_faults.hold_before(Operation::LogLead);
    truth_faults.next(Operation::LogEnd, LOST);
    faults.next(Operation::Marks, REFUSED);
    faults.next(Operation::Relay, LOST_BY_SHARED);
    let store = Store::builder().tier(shared).tier(truth).schema::<City>().build().await.unwrap();
    lead.arrived().await;
    assert_eq!((faults.calls(Operation::Marks), faults.calls(Operation::Relay)), (3, 2), "the marks are read once more in the end");
    assert_eq!(truth_faults.calls(Operation::LogEnd), 3, "two for the follower, one for the relayer");

    let cities = store.collection::<City>().unwrap();
    let operations = [Operation::Fetch, Operation::Fill, Operation::Replace, Operation::Remove, Operation::Clear];
    faults.next(Operation::Fetch, REFUSED);
    operations[1..].iter().for_each(|operation| faults.next(*operation, LOST_BY_SHARED));
    assert_eq!(cities.get(1).await.unwrap().unwrap().id, 1);
    cities.set(city(1)).await.unwrap();
    cities.invalidate(1).await.unwrap();
    cities.invalidate_all().await.unwrap();
    assert_eq!(operations.map(|operation| faults.calls(operation)), [2, 1, 2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_lease_was_lost_on_the_way_does_not_wait_for_itself() {
    let (_directory, sqlite) = stacks::sqlite().await;
    let tier = FaultTier::new(ModelRecords::new());
    let faults = tier.faults();
    let builder = Store::builder().tier(tier).tier(sqlite).schema::<City>().configure(|settings| {
        settings.flight_wait = Duration::from_secs(50);
        settings.fill_lease = Duration::from_secs(50);
    });
    let cities = builder.build().await.unwrap().collection::<City>().unwrap();
    faults.next(Operation::Fetch, LOST_BY_SHARED);
    // Within the time limit of the call.
    assert_eq!(cities.get(1).await.unwrap(), None);
    assert_eq!(faults.calls(Operation::Fetch), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_to_a_shared_tier_that_is_the_truth_are_not_made_again() {
    let shared = Shared::open().await;
    for operation in [Operation::Fetch, Operation::Put, Operation::Delete] {
        shared.faults.next(operation, LOST_BY_SHARED);
    }
    assert_eq!(shared.cities().get(1).await.unwrap(), None);
    shared.cities().set(city(1)).await.unwrap_err();
    shared.cities().delete(1).await.unwrap_err();
    let calls = [Operation::Fetch, Operation::Put, Operation::Delete].map(|operation| shared.faults.calls(operation));
    assert_eq!(calls, [2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ran_into_a_time_limit_is_not_made_again() {
    let truth = Truth::open(|settings| settings.retries = 3).await;
    let before = truth.faults.calls(Operation::GetMany);
    truth.faults.next(Operation::GetMany, Fault::FailBefore(ErrorKind::Timeout));
    assert_eq!(truth.cities().get(1).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(truth.faults.calls(Operation::GetMany), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_as_many_as_the_setting_says_and_end_where_the_breaker_opens() {
    for (retries, failures, made) in [(0, 9, 1), (1, 9, 2), (3, 9, 4), (9, 3, 3)] {
        let truth = Truth::open(|settings| (settings.retries, settings.breaker.failures) = (retries, failures)).await;
        truth.faults.always(Operation::GetMany, Fault::FailBefore(ErrorKind::L3Unavailable));
        let error = truth.cities().get(1).await.unwrap_err();
        assert!(error.to_string().contains("the test ordered this failure"), "{error}");
        assert_eq!(truth.faults.calls(Operation::GetMany), made, "{retries} retries, {failures} failures");
    }
}

/// Tells the state that a tier's breaker enters.
async fn enters(changes: &mut UnboundedReceiver<(Role, BreakerState)>, role: Role, state: BreakerState) {
    let told = async { while changes.recv().await.unwrap() != (role, state) {} };
    tokio::time::timeout(PATIENCE, told).await.expect("the change was never told");
}

fn telling(builder: StoreBuilder<MemTier>) -> (StoreBuilder<MemTier>, UnboundedReceiver<(Role, BreakerState)>) {
    let (sender, changes) = unbounded_channel();
    // Nobody listens any more when the test is over.
    (builder.on_health_change(move |change| _ = sender.send((change.role, change.to))), changes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_tier_that_is_away_costs_no_answer_and_comes_back_by_itself() {
    const ALL: [Operation; 6] =
        [Operation::Fetch, Operation::Fill, Operation::Replace, Operation::Remove, Operation::Relay, Operation::Publish];
    let clock = ManualClock::new();
    let (_directory, sqlite) = stacks::sqlite().await;
    let tier = FaultTier::new(ModelRecords::with_clock(Arc::new(clock.clone())));
    let faults = tier.faults();
    let builder = Store::builder().near(MemTier::new()).tier(tier).tier(sqlite).schema::<Player>();
    let builder = builder.configure(|settings| settings.clock = Arc::new(clock.clone()));
    let (builder, mut changes) = telling(builder);
    let players = builder.build().await.unwrap().collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();

    faults.outage(REFUSED);
    let level = async |id: &str| players.get(id).await.unwrap().map(|player| player.level);
    let mut written = 1;
    let opened = async {
        loop {
            written += 1;
            players.set(player("a", written)).await.unwrap();
            assert_eq!(level("a").await, Some(written));
            assert_eq!(level("b").await, None);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = enters(&mut changes, Role::Shared, BreakerState::Open) => {}
        () = opened => {}
    }
    // One call may have been on its way.
    players.set(player("a", 100)).await.unwrap();
    let before = ALL.map(|operation| faults.calls(operation));
    players.set(player("a", 101)).await.unwrap();
    assert_eq!(level("a").await, Some(101));
    assert_eq!(players.from(Role::Shared).get("a").await.unwrap().unwrap().level, 101);
    assert_eq!(players.get_many(["a", "b"]).await.unwrap().iter().flatten().count(), 1);
    assert!(players.delete("a").await.unwrap());
    assert_eq!(level("a").await, None);
    assert_eq!(ALL.map(|operation| faults.calls(operation)), before, "a tier behind an open breaker is not asked");

    faults.heal();
    clock.advance(COOL_DOWN);
    enters(&mut changes, Role::Shared, BreakerState::Closed).await;
    players.set(player("a", 102)).await.unwrap();
    assert_eq!(players.from(Role::Shared).get("a").await.unwrap().unwrap().level, 102);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truth_that_is_away_is_told_at_once_while_memory_goes_on() {
    let clock = ManualClock::new();
    let (_directory, sqlite) = stacks::sqlite().await;
    let tier = FaultTier::new(sqlite);
    let faults = tier.faults();
    let builder = Store::builder().near(MemTier::new()).tier(tier).schema::<Player>();
    let builder = builder.configure(|settings| {
        settings.clock = Arc::new(clock.clone());
        settings.freshness = Duration::from_secs(60);
    });
    let (builder, mut changes) = telling(builder);
    let players = builder.build().await.unwrap().collection::<Player>().unwrap();
    players.set(player("a", 1)).await.unwrap();

    // The follower of the log finds out by itself.
    faults.outage(Fault::FailBefore(ErrorKind::L3Unavailable));
    enters(&mut changes, Role::Truth, BreakerState::Open).await;
    let before = faults.calls(Operation::GetMany);
    assert_eq!(players.get("a").await.unwrap().unwrap().level, 1);
    let errors = [
        refused(players.get("b").await),
        refused(players.set(player("b", 1)).await),
        refused(players.delete("a").await),
        refused(players.search(Query::new()).await),
        refused(players.exists("b").await),
        refused(players.invalidate("b").await),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::L3Unavailable && error.tier() == Some(Role::Truth)), "{errors:?}");
    assert_eq!(faults.calls(Operation::GetMany), before);

    faults.heal();
    clock.advance(COOL_DOWN);
    enters(&mut changes, Role::Truth, BreakerState::Closed).await;
    assert_eq!(players.get("b").await.unwrap(), None);
    players.set(player("b", 2)).await.unwrap();
}
