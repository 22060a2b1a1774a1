//! The tier itself.

use std::sync::Arc;

use store_core::facet::ShelfOptions;
use store_core::{Eviction, EvictionCause, NearTier, Record, Role, Version};

use super::workbench::Workbench;
use crate::models::Score;

fn scores<N: NearTier>(workbench: &Workbench<N>) -> ShelfOptions<Score> {
    ShelfOptions {
        max_entries: Some(10),
        max_weight: None,
        weigher: None,
        eviction: Eviction::Lru,
        on_evict: None,
        clock: Arc::new(workbench.clock.clone()),
    }
}

fn score(version: u64) -> Record<Score> {
    Record::new(Arc::new(Score { player: "a".into(), season: 1, points: 7 }), Version::new(version))
}

/// The tier's role is near, and the near facet is there, with none that needs bytes or rows.
pub fn is_near_and_has_that_facet_alone<N: NearTier>(make: impl Fn() -> N) {
    let tier = Arc::new(make());
    assert_eq!(tier.role(), Role::Near);
    assert!(!tier.name().is_empty());
    let facets = tier.facets();
    assert!(facets.near.is_some());
    assert!(facets.records.is_none() && facets.tables.is_none() && facets.log.is_none());
}

/// A ping succeeds, and so does closing, again and again.
pub fn answers_a_ping_and_closes_twice<N: NearTier>(make: impl Fn() -> N) {
    let tier = make();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(async {
        tier.ping().await.expect("memory is always there");
        tier.close().await.expect("closing succeeds");
        tier.close().await.expect("closing again does nothing");
    });
}

/// `Near::entries` is the sum over all shelves.
pub fn counts_the_entries_of_all_shelves<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let near = workbench.near();
    assert_eq!(near.entries(), 0);
    let (players, other) = (workbench.shelf(|_| {}), workbench.tier.shelf("score", scores(&workbench)));
    players.install_all("a b");
    other.install(("a".into(), 1), score(1), None);
    assert_eq!((near.entries(), players.0.entries(), other.entries()), (3, 2, 1));
}

/// `Near::clear` empties every shelf without calling the eviction notices.
pub fn clears_all_shelves_without_a_notice<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let (unlimited, limited) = (workbench.shelf(|_| {}), workbench.shelf(|options| options.max_entries = Some(5)));
    for shelf in [&unlimited, &limited] {
        shelf.install_all("a b");
    }
    workbench.near().clear();
    assert_eq!(workbench.near().entries(), 0);
    assert_eq!((unlimited.get("a"), limited.get("a")), (None, None));
    assert_eq!(workbench.notices.take(), []);
}

/// `Near::sweep` drops expired entries from every shelf, gives their notices, and returns how many there were.
pub fn sweeps_expired_entries_from_all_shelves<N: NearTier>(make: impl Fn() -> N) {
    const COUNT: u64 = 5_000;
    let workbench = Workbench::new(make);
    let (unlimited, limited) = (workbench.shelf(|_| {}), workbench.shelf(|options| options.max_entries = Some(2 * COUNT)));
    for shelf in [&unlimited, &limited] {
        for number in 0..COUNT {
            shelf.install_until(&number.to_string(), 1, workbench.after(1));
        }
        shelf.install_until("later", 1, workbench.after(2));
        shelf.install("never", 1);
    }
    let near = workbench.near();
    assert_eq!(near.sweep(), 0);
    workbench.advance(1);
    assert_eq!(near.sweep(), 2 * COUNT);
    assert_eq!((unlimited.0.entries(), limited.0.entries()), (2, 2));
    let notices = workbench.notices.take();
    assert_eq!(notices.len() as u64, 2 * COUNT);
    assert!(notices.iter().all(|&(_, _, cause)| cause == EvictionCause::Expired));
    assert_eq!(near.sweep(), 0);
    assert_eq!(unlimited.present("later never"), ["later", "never"]);
    assert_eq!(limited.present("later never"), ["later", "never"]);
}

/// A shelf holds the entries of its own model only.
pub fn keeps_the_shelves_of_two_models_apart<N: NearTier>(make: impl Fn() -> N) {
    let workbench = Workbench::new(make);
    let (players, other) = (workbench.shelf(|_| {}), workbench.tier.shelf("score", scores(&workbench)));
    players.install("a", 1);
    other.install(("a".into(), 1), score(2), None);
    players.0.clear();
    assert_eq!(other.get(&("a".into(), 1)).map(|record| record.version()), Some(Version::new(2)));
}
