//! Who leads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store_core::facet::Log;
use store_core::{MigrationSettings, Tier};

use crate::suites::truth::TruthDatabase;

/// How long a backend may take to notice that a leader has gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of those that compete.
struct Candidate {
    tier: Arc<dyn Tier>,
    log: Arc<dyn Log>,
}

impl Candidate {
    async fn open(database: &impl TruthDatabase) -> Self {
        let tier = database.open().await;
        let facets = Arc::clone(&tier).facets();
        facets
            .migrations
            .expect("a truth tier has the facet `migrations`")
            .migrate(&[], &MigrationSettings::default())
            .await
            .expect("Strata's own tables can be made");
        Candidate { tier, log: facets.log.expect("a truth tier has the facet `log`") }
    }

    async fn lead(&self, names: &[&str]) -> Vec<bool> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let led = self.log.lead(&names).await.unwrap();
        assert_eq!(led.len(), names.len(), "each name has its answer");
        led
    }
}

/// Of all that ask, at once and again, exactly one leads each name, and it stays the same one.
pub async fn each_name_has_one_leader(database: impl TruthDatabase) {
    const NAMES: [&str; 4] = ["log", "slots:player:", "slots:'; DROP TABLE x; -- é", ""];
    let mut candidates = Vec::new();
    for _ in 0..4 {
        candidates.push(Arc::new(Candidate::open(&database).await));
    }
    let mut first: Option<Vec<Vec<bool>>> = None;
    for _ in 0..5 {
        let asked: Vec<_> = candidates
            .iter()
            .map(|candidate| {
                let candidate = Arc::clone(candidate);
                tokio::spawn(async move { candidate.lead(&NAMES).await })
            })
            .collect();
        let mut led = Vec::new();
        for asked in asked {
            led.push(asked.await.unwrap());
        }
        for (position, name) in NAMES.iter().enumerate() {
            assert_eq!(led.iter().filter(|led| led[position]).count(), 1, "leaders of {name:?}");
        }
        assert_eq!(*first.get_or_insert_with(|| led.clone()), led, "leaderships do not move by being asked for");
    }
}

/// A leader may ask again, for its names in any order and for more; others do not lead what it leads. No name is no question.
pub async fn a_leader_keeps_its_names(database: impl TruthDatabase) {
    let leader = Candidate::open(&database).await;
    let other = Candidate::open(&database).await;
    assert!(leader.lead(&[]).await.is_empty());
    assert_eq!(leader.lead(&["a", "b"]).await, [true, true]);
    assert_eq!(other.lead(&["b", "a"]).await, [false, false]);
    assert_eq!(leader.lead(&["b"]).await, [true]);
    assert_eq!(leader.lead(&["c", "b", "a"]).await, [true, true, true]);
    assert_eq!(other.lead(&["a", "c", "b"]).await, [false, false, false]);
    assert_eq!(leader.lead(&["a", "b", "c"]).await, [true, true, true]);
}

/// Once the leader's tier is closed, another that asks leads.
pub async fn a_closed_leader_is_followed(database: impl TruthDatabase) {
    const NAMES: [&str; 2] = ["log", "slots:player:"];
    let leader = Candidate::open(&database).await;
    let other = Candidate::open(&database).await;
    assert_eq!(leader.lead(&NAMES).await, [true, true]);
    assert_eq!(other.lead(&NAMES).await, [false, false]);
    leader.tier.close().await.unwrap();
    let asked = Instant::now();
    // A server notices the end of a connection when it does, and tells nobody.
    while other.lead(&NAMES).await != [true, true] {
        assert!(asked.elapsed() < PATIENCE, "nobody leads after the leader was closed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let third = Candidate::open(&database).await;
    assert_eq!(third.lead(&NAMES).await, [false, false]);
    assert_eq!(other.lead(&NAMES).await, [true, true]);
}
