use super::*;

const BOUND: u64 = 100;

fn write(number: u64, version: u64, began: u64, at: u64) -> [Event; 2] {
    [Event::Began { key: 1, number, at: began }, Event::Acknowledged { key: 1, number, began, at, version, way: Way::Alone }]
}

fn read(number: u64, version: u64, began: u64, promise: Promise) -> Event {
    Event::Read { key: 1, number, version, began, at: began + 5, promise }
}

fn violations(writer: &[Event], reader: &[Event]) -> u64 {
    let mut checker = Checker::new(BOUND);
    [writer, reader].into_iter().enumerate().for_each(|(instance, events)| checker.add(instance, events));
    checker.advance(u64::MAX);
    checker.verdict.counts.violations
}

#[test]
fn a_read_may_be_as_old_as_its_promise() {
    let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
    for (began, promise, expected) in [
        (35, Promise::Latest, 0),
        (41, Promise::Latest, 1),
        (41, Promise::Bounded, 0),
        (140, Promise::Bounded, 0),
        (141, Promise::Bounded, 1),
    ] {
        assert_eq!(violations(&history, &[read(7, 1, began, promise)]), expected, "{began} {promise:?}");
    }
    assert_eq!(violations(&history, &[read(8, 2, 500, Promise::Latest)]), 0);
}

#[test]
fn a_read_shows_what_was_written_and_nothing_else() {
    let history = write(7, 1, 10, 20);
    assert_eq!(violations(&history, &[read(9, 1, 50, Promise::Bounded)]), 1, "nobody wrote it");
    assert_eq!(violations(&history, &[read(7, 1, 1, Promise::Bounded)]), 1, "it had not begun");
    assert_eq!(violations(&history, &[read(7, 5, 50, Promise::Bounded)]), 1, "another version");
    assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 1, "it was not deleted");
    assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Bounded)]), 0);
}

#[test]
fn deletions_count_once_they_are_certain() {
    let history = [write(7, 1, 10, 20), write(0, 0, 30, 40)].concat();
    assert_eq!(violations(&history, &[read(7, 1, 50, Promise::Latest)]), 1);
    assert_eq!(violations(&history, &[read(0, 0, 50, Promise::Latest)]), 0);
    let overlapping = [write(7, 1, 10, 35), write(0, 0, 30, 40)].concat();
    assert_eq!(violations(&overlapping, &[read(7, 1, 50, Promise::Latest)]), 0, "either may have been first");
    let unknown = [write(7, 1, 10, 20).as_slice(), &[Event::Began { key: 1, number: 0, at: 30 }]].concat();
    assert_eq!(violations(&unknown, &[read(7, 1, 50, Promise::Latest)]), 0);
    assert_eq!(violations(&unknown, &[read(0, 0, 50, Promise::Latest)]), 0);
}

#[test]
fn a_write_that_failed_comes_before_what_its_process_wrote_later() {
    let failed = [Event::Began { key: 1, number: 7, at: 10 }, Event::WriteFailed { key: 1, number: 7, began: 10, at: 20 }];
    let written = [failed, write(8, 5, 30, 40)].concat();
    assert_eq!(violations(&written, &[read(7, 4, 35, Promise::Bounded)]), 0, "it was committed before");
    assert_eq!(violations(&written, &[read(7, 6, 500, Promise::Bounded)]), 1, "it was committed after");
    let deleted = [failed, write(0, 0, 30, 40)].concat();
    assert_eq!(violations(&deleted, &[read(7, 4, 35, Promise::Latest)]), 0);
    assert_eq!(violations(&deleted, &[read(7, 4, 50, Promise::Latest)]), 1);
    assert_eq!(violations(&deleted, &[read(7, 4, 50, Promise::Bounded)]), 0, "the deletion is younger than the bound");
    let overlapping = [failed, write(8, 5, 15, 40)].concat();
    assert_eq!(violations(&overlapping, &[read(7, 6, 500, Promise::Latest)]), 0, "either may have been first");
    assert_eq!(violations(&failed, &[write(8, 5, 30, 40).as_slice(), &[read(7, 6, 500, Promise::Latest)]].concat()), 0, "another's");
    let deletion = [Event::Began { key: 1, number: 0, at: 10 }, Event::WriteFailed { key: 1, number: 0, began: 10, at: 20 }];
    let written = write(8, 5, 30, 40);
    assert_eq!(violations(&[deletion, written].concat(), &[read(0, 0, 500, Promise::Latest)]), 1, "it was deleted after");
    assert_eq!(violations(&deletion, &[written.as_slice(), &[read(0, 0, 500, Promise::Latest)]].concat()), 0, "another deleted it");
}

#[test]
fn what_was_refused_or_rolled_back_is_never_seen() {
    let refused = [Event::Began { key: 1, number: 7, at: 10 }, Event::Never { key: 1, number: 7, began: 10, at: 20 }];
    for began in [15, 50] {
        assert_eq!(violations(&refused, &[read(7, 1, began, Promise::Bounded)]), 1);
    }
}

#[test]
fn an_update_overwrites_nothing_unseen() {
    let update = |of| {
        let [began, _] = write(9, 5, 50, 60);
        [began, Event::Acknowledged { key: 1, number: 9, began: 50, at: 60, version: 5, way: Way::Update { of } }]
    };
    let history = [write(7, 1, 10, 20), write(8, 2, 30, 55)].concat();
    assert_eq!(violations(&history, &update(8)), 0);
    assert_eq!(violations(&history, &update(7)), 1);
}

#[test]
fn a_read_that_was_not_told_the_version_takes_that_of_the_number() {
    let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
    assert_eq!(violations(&history, &[read(7, 0, 41, Promise::Latest)]), 1);
    assert_eq!(violations(&history, &[read(8, 0, 41, Promise::Latest)]), 0);
}

#[test]
fn a_transaction_sees_another_whole_or_not_at_all() {
    let put = |key, number, version| {
        [Event::Began { key, number, at: 10 }, Event::Acknowledged { key, number, began: 10, at: 40, version, way: Way::Transaction }]
    };
    let (a, b) = (7 | FIRST, 7 | SECOND);
    let older = [
        Event::Began { key: 2, number: 3, at: 1 },
        Event::Acknowledged { key: 2, number: 3, began: 1, at: 2, version: 1, way: Way::Alone },
    ];
    let newer = [
        Event::Began { key: 2, number: 9, at: 20 },
        Event::Acknowledged { key: 2, number: 9, began: 20, at: 50, version: 8, way: Way::Alone },
    ];
    let history = [put(1, a, 4), put(2, b, 5), older, newer].concat();
    let deleted = [history.as_slice(), &[Event::Began { key: 2, number: 0, at: 25 }]].concat();
    let pair = |second| [Event::Pair { key: 1, first: a, second, began: 30, at: 35 }];
    assert_eq!(violations(&history, &pair(b)), 0);
    assert_eq!(violations(&history, &pair(3)), 1, "the second key is older");
    assert_eq!(violations(&history, &pair(9)), 0, "it was written again");
    assert_eq!(violations(&history, &pair(0)), 1, "nobody deleted it");
    assert_eq!(violations(&deleted, &pair(0)), 0);
}

#[test]
fn a_process_sees_what_it_did_itself_at_once() {
    let put = write(7, 1, 10, 20);
    let deletion = write(0, 0, 30, 40);
    let (shown, gone) = (|began| [read(7, 1, began, Promise::Bounded)], |began| [read(0, 0, began, Promise::Bounded)]);
    let own = |events: &[&[Event]]| violations(&put, &events.concat());
    assert_eq!(own(&[&deletion, &shown(41)]), 1, "it has deleted it");
    assert_eq!(own(&[&deletion, &shown(39)]), 0, "not yet");
    assert_eq!(violations(&[put, deletion].concat(), &shown(41)), 0, "another has deleted it");
    assert_eq!(own(&[&write(0, 0, 15, 40), &shown(41)]), 0, "the put may have come after");
    let by_condition = |touched| {
        let way = Way::Condition { touched };
        [deletion[0], Event::Acknowledged { key: 1, number: 0, began: 30, at: 40, version: 0, way }]
    };
    assert_eq!(own(&[&by_condition(true), &shown(41)]), 1, "it has deleted it by a condition");
    assert_eq!(own(&[&by_condition(false), &shown(41)]), 0, "another had deleted it, of which it may not have heard");
    assert_eq!(own(&[&by_condition(false), &shown(141)]), 1, "by now it must have heard of it");
    assert_eq!(violations(&[], &[put.as_slice(), &gone(21)].concat()), 1, "it has written it");
    assert_eq!(violations(&[], &[put.as_slice(), &gone(19)].concat()), 0, "not yet");
    assert_eq!(own(&[&shown(25), &gone(31)]), 1, "it has seen it");
    assert_eq!(violations(&write(0, 0, 15, 40), &[put.as_slice(), &gone(21)].concat()), 0, "another may have deleted it");
}

#[test]
fn what_a_condition_touched_shows_though_its_version_is_not_told() {
    let way = Way::Condition { touched: true };
    let update = |number, began, at| {
        [Event::Began { key: 1, number, at: began }, Event::Acknowledged { key: 1, number, began, at, version: 0, way }]
    };
    let put = write(7, 1, 10, 20);
    let history = [put, update(9, 30, 40)].concat();
    for (seen, expected) in [
        (read(7, 1, 41, Promise::Latest), 1),
        (read(7, 1, 39, Promise::Latest), 0),
        (read(7, 1, 41, Promise::Bounded), 0),
        (read(7, 1, 141, Promise::Bounded), 1),
        (read(9, 2, 41, Promise::Latest), 0),
        (read(0, 0, 41, Promise::Latest), 1),
    ] {
        assert_eq!(violations(&history, &[seen]), expected, "{seen:?}");
    }
    let overlapping = [put, update(9, 15, 40)].concat();
    assert_eq!(violations(&overlapping, &[read(7, 1, 500, Promise::Latest)]), 0, "either may have been first");
    let written_again = [history.as_slice(), &write(8, 5, 50, 60)].concat();
    assert_eq!(violations(&written_again, &[read(8, 5, 61, Promise::Latest)]), 0);
    assert_eq!(violations(&written_again, &[read(9, 2, 61, Promise::Latest)]), 1, "its version is told by the read");
    let deleted = [history.as_slice(), &write(0, 0, 50, 60)].concat();
    assert_eq!(violations(&deleted, &[read(9, 2, 61, Promise::Latest)]), 1);
    assert_eq!(violations(&deleted, &[read(0, 0, 61, Promise::Latest)]), 0);
    let own = [update(9, 30, 40).as_slice(), &[read(7, 1, 41, Promise::Bounded)]].concat();
    assert_eq!(violations(&put, &own), 1, "this process has replaced it");
}

#[test]
fn a_process_never_reads_less_than_it_was_told() {
    let history = [write(7, 1, 10, 20), write(8, 2, 30, 40)].concat();
    let reads = [read(8, 2, 50, Promise::Bounded), read(7, 1, 60, Promise::Bounded)];
    assert_eq!(violations(&history, &reads), 1);
    assert_eq!(violations(&history, &[reads[1], reads[0]]), 0);
}

#[test]
fn what_changes_behind_the_stores_back_shows_after_its_invalidation() {
    let invalidated = |key, number, from, to| Event::Invalidated { key, number, invalidation: Spell { from, to } };
    let read = |key, number, began, promise| Event::Read { key, number, version: 0, began, at: began + 5, promise };
    for kind in [Kind::Tagged, Kind::Loaded] {
        let key = kind.key(1);
        let history = [invalidated(key, 2, 10, 20), invalidated(key, 3, 30, 40)];
        for (number, began, promise, expected) in [
            (1, 15, Promise::Latest, 0),
            (1, 21, Promise::Latest, 1),
            (2, 21, Promise::Latest, 0),
            (2, 140, Promise::Bounded, 0),
            (2, 141, Promise::Bounded, 1),
            (4, 141, Promise::Bounded, 0),
        ] {
            assert_eq!(violations(&history, &[read(key, number, began, promise)]), expected, "{number} at {began} {promise:?}");
        }
        let own = [history.as_slice(), &[read(key, 2, 41, Promise::Bounded)]].concat();
        assert_eq!(violations(&own, &[]), 1, "its own invalidation shows at once");
        let lossy =
            [history.as_slice(), &[Event::Lost(Spell { from: 35, to: u64::MAX }), Event::Lost(Spell { from: 35, to: 50 })]].concat();
        let is_lost = u64::from(kind == Kind::Tagged);
        assert_eq!(violations(&lossy, &[read(key, 2, 60, Promise::Latest)]), is_lost, "{kind:?}");
        assert_eq!(violations(&lossy, &[read(key, 1, 60, Promise::Latest)]), 1, "the first one was told before");
    }
}

#[test]
fn what_is_forgotten_does_not_matter() {
    let mut checker = Checker::new(BOUND);
    let mut size = 0;
    for round in 1..200_u64 {
        let at = round * MEMORY / 10;
        checker.add(0, &write(2 * round, 2 * round, at, at + 10));
        checker.add(0, &write(0, 0, at + 20, at + 30));
        checker.add(0, &write(1_000 + round, 0, at + 32, at + 38));
        checker.add(0, &[Event::Began { key: 1, number: 2 * round + 1, at: at + 40 }, Event::Began { key: 1, number: 0, at: at + 45 }]);
        checker.add(1, &[read(2 * round, 2 * round, at, Promise::Latest), read(2 * round + 1, 2 * round + 1, at + 50, Promise::Latest)]);
        checker.advance(at + 60);
        size = size.max(checker.size());
    }
    assert_eq!((checker.verdict.counts.reads, checker.verdict.counts.violations), (398, 0), "{:?}", checker.verdict.first);
    assert!(size < 300, "{size} remembered");
    let now = 200 * MEMORY / 10;
    checker.add(1, &[read(2, 2, now, Promise::Bounded), read(2, 2, now - 2 * MEMORY, Promise::Bounded)]);
    checker.advance(now + 10);
    assert_eq!((checker.verdict.counts.violations, checker.verdict.counts.unchecked), (1, 1));
}
