use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::version::Version;

type Overlay = Pending<u8, Option<u32>, u32>;

#[test]
fn many_writes_of_a_key_become_one_that_is_based_on_what_the_first_knew() {
    let mut pending = Overlay::new();
    assert_eq!(pending.stage(&1, || Base::Version(7)), Base::Version(7));
    assert_eq!(pending.stage(&1, || unreachable!("the key is known")), Base::Unknown);
    assert!(pending.apply(&1, 1, Some(10), true, None));
    assert!(!pending.apply(&1, 2, None, false, None));
    assert_eq!(pending.get(&1), Some(&None));
    let taken = pending.take();
    let only = Taken { key: 1, write: None, first: 1, sequence: 2, base: Base::Version(7), is_acknowledged: true };
    assert_eq!(taken, [only]);
    assert!(pending.settle(&1, 2).is_gone);
    assert!(pending.take().is_empty() && pending.entries.is_empty());
}

#[test]
fn what_comes_during_a_flush_stays_and_is_based_on_what_the_flush_stored() {
    let mut pending = Overlay::new();
    pending.stage(&1, || Base::Version(7));
    pending.apply(&1, 1, Some(10), true, Some(100));
    pending.stage(&1, || Base::Unknown);
    pending.apply(&1, 5, Some(11), true, Some(101));
    pending.rebase(&1, Base::put(Version::new(8)));
    let settled = pending.settle(&1, 1);
    assert_eq!((settled.answered, settled.is_gone), (vec![100], false));
    let taken = pending.take();
    assert_eq!((taken[0].first, taken[0].sequence, taken[0].base), (5, 5, Base::Version(8)));
    pending.rebase(&1, Base::put(Version::new(6)));
    assert_eq!(pending.base(&1), Some(Base::Version(8)), "news that is older changes nothing");
    assert_eq!(pending.settle(&1, 5).answered, [101]);
}

#[test]
fn an_announced_write_keeps_what_its_key_is_based_on() {
    let mut pending = Overlay::new();
    pending.stage(&1, || Base::Version(7));
    pending.stage(&1, || Base::Version(7));
    pending.apply(&1, 1, Some(10), true, None);
    pending.rebase(&1, Base::Version(8));
    assert!(pending.settle(&1, 1).is_gone);
    pending.apply(&1, 2, Some(11), true, None);
    assert_eq!(pending.take()[0].base, Base::Version(8));
    pending.stage(&2, || Base::Unknown);
    pending.unstage(&2);
    assert_eq!(pending.entries.len(), 1);
}

#[test]
fn a_door_stands_open_until_it_is_closed() {
    let mut pending = Overlay::new();
    pending.open_door(&1, || Base::Version(7));
    pending.open_door(&1, || unreachable!("the key is known"));
    assert!(pending.has_door(&1) && pending.get(&1).is_none());
    pending.close_door(&1);
    assert!(pending.has_door(&1));
    pending.close_door(&1);
    assert!(!pending.has_door(&1) && pending.entries.is_empty());
}

#[test]
fn what_the_journal_says_of_a_base_holds_whatever_else_this_instance_writes() {
    let mut pending = Overlay::new();
    for key in [1, 2] {
        assert_eq!(pending.stage(&key, || Base::Version(7)), Base::Version(7));
        pending.apply(&key, u64::from(key), Some(10), true, None);
    }
    pending.open_door(&1, || unreachable!("the key is known"));
    pending.open_door(&3, || Base::Unknown);
    assert_eq!(pending.stage(&3, || unreachable!("the key is known")), Base::Unknown);
    assert_eq!(pending.conditional(Some(&[1, 3])), [1], "what came behind the door is based on nothing");
    pending.note_unconditional(&1);
    assert_eq!(pending.base(&1), Some(Base::Version(7)), "as long as this process lives it is known");
    assert_eq!(pending.conditional(None), [2]);

    pending.open_any_door();
    assert!(pending.has_door(&9));
    assert_eq!(pending.stage(&9, || Base::Version(8)), Base::Unknown);
    assert_eq!(pending.base(&9), Some(Base::Version(8)));
    pending.close_any_door();
    assert_eq!(pending.stage(&4, || Base::Absent(3)), Base::Absent(3));
    pending.open_door(&4, || unreachable!("the key is known"));
    pending.unstage(&4);
    assert_eq!(pending.conditional(Some(&[4])), [0_u8; 0], "it never came to the journal");
    pending.forget_bases();
    assert_eq!((pending.base(&2), pending.conditional(None)), (Some(Base::Unknown), vec![]));
    pending.rebase(&2, Base::Version(8));
    assert_eq!(pending.base(&2), Some(Base::Unknown), "what is heard later may be older");
}

#[derive(Debug, Clone)]
enum Step {
    Write(u8, Option<u32>),
    /// Gives its place to the announced write of this number, of those that have none.
    Apply(usize),
    Take,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..4, proptest::option::of(0_u32..100)).prop_map(|(key, write)| Step::Write(key, write)),
        4 => (0_usize..3).prop_map(Step::Apply),
        1 => Just(Step::Take),
        1 => Just(Step::Settle),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    /// In whichever order writes get their places, and flushes come between: what is pending or flushed of a key is the write with the last place that was given,
    /// and everybody who waits is answered once, when a flush has covered the place.
    #[test]
    fn it_is_a_map_of_last_writes(steps in steps()) {
        let mut pending = Overlay::new();
        let (mut next, mut announced) = (1_u64, Vec::new());
        let mut last: BTreeMap<u8, (u64, Option<u32>)> = BTreeMap::new();
        let mut flushed: BTreeMap<u8, (u64, Option<u32>)> = BTreeMap::new();
        let (mut taken, mut asked, mut answered) = (Vec::new(), 0_u32, Vec::new());
        for step in steps.into_iter().chain([Step::Settle, Step::Take, Step::Settle]) {
            match step {
                Step::Write(key, write) => {
                    pending.stage(&key, || Base::Unknown);
                    announced.push((key, next, write));
                    next += 1;
                }
                Step::Apply(number) if number < announced.len() => {
                    let (key, sequence, write) = announced.remove(number);
                    // A place before one that was flushed already is never given: places are given in order, flushes cover what is there.
                    if flushed.get(&key).is_some_and(|(flushed, _)| *flushed > sequence) {
                        pending.unstage(&key);
                        continue;
                    }
                    asked += 1;
                    pending.apply(&key, sequence, write, true, Some(asked));
                    let place = last.entry(key).or_insert((sequence, write));
                    if place.0 <= sequence {
                        *place = (sequence, write);
                    }
                }
                Step::Apply(_) => {}
                Step::Take => taken = pending.take(),
                Step::Settle => {
                    for Taken { key, write, sequence, .. } in std::mem::take(&mut taken) {
                        flushed.insert(key, (sequence, write));
                        answered.extend(pending.settle(&key, sequence).answered);
                    }
                }
            }
            for (key, (sequence, write)) in &last {
                let shown = pending.get(key).copied().or_else(|| flushed.get(key).map(|(_, write)| *write));
                prop_assert_eq!(shown, Some(*write));
                prop_assert!(pending.sequence(key).is_none_or(|place| place == *sequence));
            }
        }
        answered.sort_unstable();
        prop_assert_eq!(answered, (1..=asked).collect::<Vec<_>>());
    }
}
