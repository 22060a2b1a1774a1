//! Random histories of two instances, against what the promises allow.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use strata::{Freshness, Load};

use super::{Bench, Kind, MINUTE, page};

/// One step by one of two instances.
#[derive(Debug, Clone)]
enum Step {
    /// The source has something else from here on, and tells.
    Change {
        by: usize,
        all: bool,
    },
    Write {
        by: usize,
    },
    Delete {
        by: usize,
    },
    /// A read through a loader, which answers by the source, or "not modified" where it may.
    Load {
        by: usize,
        ttl: Option<u64>,
        keep: bool,
        strong: bool,
    },
    Fail {
        by: usize,
    },
    Read {
        by: usize,
    },
    Wait {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let by = || 0..2_usize;
    prop_oneof![
        2 => (by(), any::<bool>()).prop_map(|(by, all)| Step::Change { by, all }),
        1 => by().prop_map(|by| Step::Write { by }),
        1 => by().prop_map(|by| Step::Delete { by }),
        6 => (by(), prop::option::of(1..90_u64), prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(by, ttl, keep, strong)| Step::Load { by, ttl, keep, strong }),
        1 => by().prop_map(|by| Step::Fail { by }),
        3 => by().prop_map(|by| Step::Read { by }),
        2 => (1..40_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// What every answer must be: the last write if it was not deleted, else what the source has, or nothing where nobody asked it.
#[derive(Debug)]
struct Expected {
    source: i64,
    written: Option<i64>,
    next: i64,
}

async fn play(kind: Kind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let bench = Bench::open(kind, |settings| {
        settings.stale_on_error = Some(MINUTE);
        // What was written stays until it is deleted.
        (settings.l1_ttl, settings.l2_ttl) = (None, None);
    })
    .await;
    let other = if kind == Kind::Shared { bench.another().await.0 } else { bench.pages.clone() };
    let instances = [bench.pages.clone(), other];
    let mut expected = Expected { source: 0, written: None, next: 1 };
    for step in steps {
        let next = expected.next;
        expected.next += 1;
        let changed = matches!(step, Step::Change { .. } | Step::Write { .. } | Step::Delete { .. });
        match step {
            Step::Change { by, all } => {
                expected.source = next;
                if all {
                    instances[by].invalidate_all().await.unwrap();
                } else {
                    instances[by].invalidate("/").await.unwrap();
                }
            }
            Step::Write { by } => {
                instances[by].set(page("/", next)).await.unwrap();
                expected.written = Some(next);
            }
            Step::Delete { by } => {
                instances[by].delete("/").await.unwrap();
                expected.written = None;
            }
            Step::Load { by, ttl, keep, strong } => {
                let pages = if strong { instances[by].with_freshness(Freshness::Strong) } else { instances[by].clone() };
                let now = expected.source;
                let loader = move |known: Option<strata::Known<super::Page>>| async move {
                    let mut load = match known {
                        Some(known) if known.source_tag() == Some(&*now.to_string()) => Load::not_modified(),
                        _ => Load::value(page("/", now)).source_tag(now.to_string()),
                    };
                    if let Some(ttl) = ttl {
                        load = load.ttl(Duration::from_secs(ttl));
                    }
                    Ok(if keep { load } else { load.do_not_keep() })
                };
                let answer = pages.read_or_load("/", loader).await.unwrap().unwrap();
                prop_assert!(!answer.is_stale);
                prop_assert_eq!(answer.body, expected.written.unwrap_or(now));
            }
            Step::Fail { by } => {
                let failing = |_| async { Err("away")? };
                if let Ok(answer) = instances[by].read_or_load("/", failing).await {
                    let body = answer.map(|page| page.body);
                    prop_assert_eq!(body, Some(expected.written.unwrap_or(expected.source)));
                }
            }
            Step::Read { by } => {
                let body = instances[by].get("/").await.unwrap().map(|page| page.body);
                match expected.written {
                    Some(written) => prop_assert_eq!(body, Some(written)),
                    None => prop_assert!([None, Some(expected.source)].contains(&body), "{:?} instead of {:?}", body, expected),
                }
            }
            Step::Wait { seconds } => bench.clock.advance(Duration::from_secs(seconds)),
        }
        if changed {
            // The other instance hears of it within the freshness bound at the latest.
            bench.pass_freshness();
        }
    }
    Ok(())
}

fn histories(kind: Kind, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(step(), 1..40), |steps| runtime.block_on(play(kind, steps)));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn two_instances_answer_what_the_source_has_or_what_was_written() {
    histories(Kind::Shared, 200);
}

#[test]
fn memory_answers_what_the_source_has_or_what_was_written() {
    histories(Kind::Memory, 200);
}
