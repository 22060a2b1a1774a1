use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const COOL_DOWN: Duration = Duration::from_millis(1_000);
const LONGEST: Duration = Duration::from_millis(8_000);
const FAILURES: u64 = 3;

/// Stands still until it is advanced.
#[derive(Debug, Default)]
struct StillClock(AtomicU64);

impl StillClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

struct Bench {
    breaker: Arc<Breaker>,
    clock: Arc<StillClock>,
    changes: Arc<Mutex<Vec<HealthChange>>>,
}

fn bench() -> Bench {
    bench_with(BreakerSettings::default())
}

fn bench_with(settings: BreakerSettings) -> Bench {
    let settings = BreakerSettings { failures: FAILURES as u32, cool_down: COOL_DOWN, longest_cool_down: LONGEST, ..settings };
    let (clock, changes) = (Arc::new(StillClock::default()), Arc::<Mutex<Vec<HealthChange>>>::default());
    let listener: HealthListener = {
        let changes = Arc::clone(&changes);
        Arc::new(move |change| changes.lock().unwrap().push(change.clone()))
    };
    let breaker = Breaker::new("model", Role::Shared, settings, Arc::clone(&clock) as _, Some(listener));
    Bench { breaker: Arc::new(breaker), clock, changes }
}

fn outage() -> Result<()> {
    Err(Error::new(ErrorKind::L2Unavailable, "the cable is cut").with_key("7"))
}

impl Bench {
    fn call(&self, outcome: Result<()>) {
        self.breaker.admit().unwrap().tell(&outcome);
    }

    fn fail(&self, times: u64) {
        (0..times).for_each(|_| self.call(outage()));
    }

    fn state(&self) -> BreakerState {
        self.breaker.health().state
    }

    fn states_told(&self) -> Vec<BreakerState> {
        self.changes.lock().unwrap().iter().map(|change| change.to).collect()
    }

    fn refusal(&self) -> Error {
        self.breaker.admit().expect_err("the breaker holds calls back")
    }
}

#[test]
fn failures_in_a_row_open_it_and_answers_in_between_do_not() {
    let bench = bench();
    bench.fail(FAILURES - 1);
    bench.call(Ok(()));
    bench.call(Err(Error::new(ErrorKind::Timeout, "too slow")));
    bench.call(Err(Error::new(ErrorKind::AccessDenied, "no such user")));
    bench.fail(FAILURES - 1);
    assert_eq!((bench.state(), bench.breaker.health().consecutive_failures), (BreakerState::Closed, FAILURES - 1));
    bench.call(Err(Error::new(ErrorKind::Timeout, "too slow")));
    assert_eq!((bench.state(), bench.states_told()), (BreakerState::Open, vec![BreakerState::Open]));
}

#[test]
fn a_refusal_says_what_happened_and_when_the_tier_is_tried() {
    let bench = bench();
    bench.fail(FAILURES);
    bench.clock.advance(Duration::from_millis(500));
    let error = bench.refusal();
    assert_eq!((error.kind(), error.tier(), error.key()), (ErrorKind::L2Unavailable, Some(Role::Shared), None));
    let text = error.to_string();
    for said in ["`model` was not asked", "open for 500.0ms", "3 failures in a row", "the cable is cut", "tried again in"] {
        assert!(text.contains(said), "`{said}` is not in: {text}");
    }
    bench.clock.advance(COOL_DOWN);
    let _probe = bench.breaker.admit().unwrap();
    assert!(bench.refusal().to_string().contains("one call is trying it now"), "{}", bench.refusal());
}

#[test]
fn the_pause_doubles_up_to_the_longest_while_probes_fail() {
    let bench = bench();
    bench.fail(FAILURES);
    for nominal in [1_000, 2_000, 4_000, 8_000, 8_000].map(Duration::from_millis) {
        bench.clock.advance(nominal * 3 / 4 - Duration::from_millis(1));
        bench.refusal();
        bench.clock.advance(nominal / 4 + Duration::from_millis(1));
        bench.fail(1);
        assert_eq!(bench.state(), BreakerState::Open);
    }
    bench.clock.advance(LONGEST);
    bench.call(Ok(()));
    // The next outage begins with the first pause again.
    bench.fail(FAILURES);
    bench.clock.advance(COOL_DOWN);
    bench.call(Ok(()));
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn one_probe_at_a_time_closes_it_and_tells_so() {
    let bench = bench();
    bench.fail(FAILURES);
    bench.clock.advance(COOL_DOWN);
    let mut probe = bench.breaker.admit().unwrap();
    bench.refusal();
    probe.tell(&Ok(()));
    let health = bench.breaker.health();
    assert_eq!((health.state, health.consecutive_failures), (BreakerState::Closed, 0));
    assert_eq!(health.since, bench.clock.now());
    assert!(health.last_error.is_some_and(|error| error.contains("the cable is cut")));
    assert_eq!(bench.states_told(), [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]);
    bench.call(Ok(()));
}

#[test]
fn a_dropped_probe_makes_way_at_once_and_one_without_an_answer_in_the_end() {
    let bench = bench();
    bench.fail(FAILURES);
    bench.clock.advance(COOL_DOWN);
    drop(bench.breaker.admit().unwrap());
    let mut stuck = bench.breaker.admit().unwrap();
    bench.refusal();
    bench.clock.advance(LONGEST);
    let mut probe = bench.breaker.admit().unwrap();
    stuck.tell(&outage());
    drop(stuck);
    bench.refusal();
    probe.tell(&Ok(()));
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn calls_from_before_a_change_tell_nothing() {
    let bench = bench();
    let mut early: Vec<Pass> = (0..2 * FAILURES).map(|_| bench.breaker.admit().unwrap()).collect();
    bench.fail(FAILURES);
    early.pop().unwrap().tell(&Ok(()));
    assert_eq!(bench.state(), BreakerState::Open);
    bench.clock.advance(COOL_DOWN);
    bench.call(Ok(()));
    early.iter_mut().for_each(|pass| pass.tell(&outage()));
    assert_eq!((bench.state(), bench.breaker.health().consecutive_failures), (BreakerState::Closed, 0));
}

#[test]
fn what_follows_in_a_stream_counts_as_the_present_sees_it() {
    let bench = bench();
    for _ in 0..FAILURES {
        let mut stream = bench.breaker.admit().unwrap();
        stream.tell(&outage());
        // Its end is no answer.
        stream.answered();
    }
    assert_eq!(bench.state(), BreakerState::Open);
    bench.clock.advance(COOL_DOWN);
    let mut stream = bench.breaker.admit().unwrap();
    stream.tell(&Ok(()));
    stream.tell(&outage());
    stream.tell(&outage());
    assert_eq!((bench.state(), bench.breaker.health().consecutive_failures), (BreakerState::Closed, 1));
}

#[test]
fn one_that_is_off_tells_and_holds_nobody_back() {
    let bench = bench_with(BreakerSettings { enabled: false, ..BreakerSettings::default() });
    bench.fail(FAILURES + 2);
    assert_eq!(bench.state(), BreakerState::Open);
    bench.call(Ok(()));
    assert_eq!(bench.states_told(), [BreakerState::Open, BreakerState::Closed]);
}

#[test]
fn a_listener_may_ask_for_the_health_and_may_panic() {
    static SEEN: Mutex<Option<BreakerState>> = Mutex::new(None);
    let clock = Arc::new(StillClock::default());
    let own: Arc<Mutex<Option<Arc<Breaker>>>> = Arc::default();
    let listener: HealthListener = {
        let own = Arc::clone(&own);
        Arc::new(move |_| {
            let breaker = own.lock().unwrap().clone().unwrap();
            *SEEN.lock().unwrap() = Some(breaker.health().state);
            panic!("the program's defect");
        })
    };
    let settings = BreakerSettings { failures: 1, ..BreakerSettings::default() };
    let breaker = Arc::new(Breaker::new("model", Role::Shared, settings, clock, Some(listener)));
    *own.lock().unwrap() = Some(Arc::clone(&breaker));
    breaker.admit().unwrap().tell(&outage());
    assert_eq!((*SEEN.lock().unwrap(), breaker.health().state), (Some(BreakerState::Open), BreakerState::Open));
    *own.lock().unwrap() = None;
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Begin,
    /// How a call under way ends.
    End(usize, Ending),
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Answer,
    Failure,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![2 => Just(Ending::Answer), 5 => Just(Ending::Failure), 1 => Just(Ending::Drop)];
    prop_oneof![
        1 => (1..3_000_u64).prop_map(Step::Advance),
        3 => Just(Step::Begin),
        3 => (0..4_usize, ending).prop_map(|(call, ending)| Step::End(call, ending)),
    ]
}

proptest! {
    #[test]
    fn calls_in_any_order_keep_the_rules(steps in prop::collection::vec(step(), 1..120)) {
        let bench = bench();
        // Calls under way, and when each began as a probe.
        let mut calls: Vec<(Pass, Option<Duration>)> = Vec::new();
        for step in steps {
            let now = bench.clock.monotonic();
            match step {
                Step::Advance(milliseconds) => bench.clock.advance(Duration::from_millis(milliseconds)),
                Step::Begin => {
                    let before = bench.state();
                    match bench.breaker.admit() {
                        Ok(pass) => {
                            prop_assert_ne!(bench.state(), BreakerState::Open);
                            let is_probe = before != BreakerState::Closed;
                            if is_probe {
                                let trying = calls.iter().filter_map(|(_, began)| *began).any(|began| now < began + LONGEST);
                                prop_assert!(!trying, "two probes at a time");
                            }
                            calls.push((pass, is_probe.then_some(now)));
                        }
                        Err(_) => prop_assert_ne!(before, BreakerState::Closed),
                    }
                }
                Step::End(call, ending) if call < calls.len() => {
                    let (mut pass, began) = calls.remove(call);
                    let is_current_probe = began.is_some_and(|began| calls.iter().all(|(_, other)| other.is_none_or(|other| other < began)));
                    let before = bench.breaker.health();
                    match ending {
                        Ending::Answer => pass.tell(&Ok(())),
                        Ending::Failure => pass.tell(&outage()),
                        Ending::Drop => drop(pass),
                    }
                    let after = bench.breaker.health();
                    match (before.state, after.state) {
                        (BreakerState::Closed, BreakerState::Open) => prop_assert_eq!(after.consecutive_failures, FAILURES),
                        (BreakerState::HalfOpen, BreakerState::Open | BreakerState::Closed) => prop_assert!(is_current_probe),
                        (before, after) => prop_assert_eq!(before, after),
                    }
                }
                Step::End(..) => {}
            }
        }
        // Whatever happened, a tier that is back is found so once everybody has left.
        calls.clear();
        bench.clock.advance(LONGEST);
        bench.call(Ok(()));
        prop_assert_eq!(bench.state(), BreakerState::Closed);
        let changes = bench.changes.lock().unwrap();
        prop_assert!(changes.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
