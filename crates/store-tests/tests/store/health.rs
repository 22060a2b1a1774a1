//! What a store tells of its tiers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use store_testkit::{Fault, FaultTier, Faults, ManualClock, ModelRecords};
use strata::mem::MemTier;
use strata::{BreakerState, Clock, ErrorKind, HealthChange, NoNear, Role, Settings, Store, StoreBuilder};

use store_tests::models::{City, Player, city};
use store_tests::stacks;

/// A mistake, and what its message must name.
type Case = (fn(&mut Settings), &'static str);

fn cache_only(clock: &ManualClock) -> (StoreBuilder<NoNear>, Faults) {
    let tier = FaultTier::new(ModelRecords::with_clock(Arc::new(clock.clone())));
    let faults = tier.faults();
    let builder = Store::builder().tier(tier).schema_with::<City>(|options| options.policies.cache_only = true);
    (builder.configure(|settings| settings.clock = Arc::new(clock.clone())), faults)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_tells_each_tier_below_memory_and_the_age_of_what_it_knows() {
    let clock = ManualClock::new();
    let (_directory, sqlite) = stacks::sqlite().await;
    let shared = ModelRecords::with_clock(Arc::new(clock.clone()));
    let builder = Store::builder().near(MemTier::new()).tier(shared).tier(sqlite).schema::<Player>();
    let store = builder.configure(|settings| settings.clock = Arc::new(clock.clone())).build().await.unwrap();
    let health = store.health();
    assert!(health.is_healthy());
    let tiers: Vec<_> = health.tiers.iter().map(|tier| (tier.name.as_str(), tier.role, tier.state)).collect();
    assert_eq!(tiers, [("model", Role::Shared, BreakerState::Closed), ("sqlite", Role::Truth, BreakerState::Closed)]);
    assert!(health.tiers.iter().all(|tier| tier.last_error.is_none() && tier.consecutive_failures == 0 && tier.since == clock.now()));
    assert_eq!(health.freshness_age, Some(Duration::ZERO));
    assert_eq!(health.tier(Role::Near), None);

    store.close().await.unwrap();
    clock.advance(Duration::from_secs(3));
    assert_eq!(store.health().freshness_age, Some(Duration::from_secs(3)), "a closed store reads no log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_from_its_first_failure_to_its_end() {
    let clock = ManualClock::new();
    let (builder, faults) = cache_only(&clock);
    let changes: Arc<Mutex<Vec<HealthChange>>> = Arc::default();
    let sink = Arc::clone(&changes);
    let store = builder.on_health_change(move |change| sink.lock().unwrap().push(change.clone())).build().await.unwrap();
    let cities = store.collection::<City>().unwrap();
    let shared = || store.health().tiers.remove(0);

    faults.outage(Fault::FailBefore(ErrorKind::Timeout));
    let built = clock.now();
    clock.advance(Duration::from_secs(7));
    cities.set(city(1)).await.unwrap_err();
    let health = shared();
    assert_eq!((health.state, health.consecutive_failures, health.since), (BreakerState::Closed, 1, built));
    assert_eq!(health.last_error.as_deref(), Some("time limit exceeded: the test ordered this failure"));
    assert!(store.health().is_healthy() && changes.lock().unwrap().is_empty());

    for _ in 0..4 {
        cities.set(city(1)).await.unwrap_err();
    }
    let health = shared();
    assert_eq!((health.state, health.consecutive_failures, health.since), (BreakerState::Open, 5, clock.now()));
    assert!(!store.health().is_healthy());
    assert_eq!(store.health().freshness_age, None, "there is no log");

    faults.heal();
    clock.advance(Duration::from_secs(1));
    cities.set(city(1)).await.unwrap();
    let health = shared();
    assert_eq!((health.state, health.consecutive_failures, health.since), (BreakerState::Closed, 0, clock.now()));
    assert!(store.health().is_healthy() && health.last_error.is_some());

    let told: Vec<_> = changes.lock().unwrap().iter().map(|change| (change.from, change.to)).collect();
    assert_eq!(
        told,
        [
            (BreakerState::Closed, BreakerState::Open),
            (BreakerState::Open, BreakerState::HalfOpen),
            (BreakerState::HalfOpen, BreakerState::Closed)
        ]
    );
    let changes = changes.lock().unwrap();
    assert!(changes.iter().all(|change| (change.name.as_str(), change.role) == ("model", Role::Shared)));
    assert!(changes.iter().all(|change| change.last_error.as_ref().is_some_and(|error| error.contains("the test ordered"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_may_use_the_store_and_a_panic_in_it_harms_nothing() {
    let clock = ManualClock::new();
    let (builder, faults) = cache_only(&clock);
    let own: Arc<Mutex<Option<Store>>> = Arc::default();
    let seen: Arc<Mutex<Vec<BreakerState>>> = Arc::default();
    let (store_of, sink) = (Arc::clone(&own), Arc::clone(&seen));
    let builder = builder.configure(|settings| settings.breaker.failures = 1).on_health_change(move |_| {
        let store = store_of.lock().unwrap().clone().unwrap();
        sink.lock().unwrap().push(store.health().tiers[0].state);
        panic!("the test's own");
    });
    let store = builder.build().await.unwrap();
    *own.lock().unwrap() = Some(store.clone());
    let cities = store.collection::<City>().unwrap();
    faults.outage(Fault::FailBefore(ErrorKind::L2Unavailable));
    assert_eq!(cities.set(city(1)).await.unwrap_err().kind(), ErrorKind::L2Unavailable);
    faults.heal();
    clock.advance(Duration::from_secs(1));
    cities.set(city(1)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]);
    own.lock().unwrap().take();
}

#[tokio::test]
async fn settings_of_breakers_must_make_sense() {
    let cases: [Case; 5] = [
        (|settings| settings.breaker.failures = 0, "`breaker.failures` is 0"),
        (|settings| settings.breaker.cool_down = Duration::ZERO, "`breaker.cool_down` is below a millisecond"),
        (|settings| settings.breaker.longest_cool_down = Duration::MAX, "`breaker.longest_cool_down` is above a century"),
        (
            |settings| settings.breaker.longest_cool_down = Duration::from_millis(500),
            "`breaker.longest_cool_down` is below `breaker.cool_down`",
        ),
        (|settings| settings.retries = 11, "`retries` is above 10"),
    ];
    for (change, said) in cases {
        let error = cache_only(&ManualClock::new()).0.configure(change).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(said), "`{said}` is not in: {error}");
    }
}
