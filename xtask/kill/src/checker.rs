//! What was told of the writes of one truth, and what it is found to hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Level, Place};
use crate::protocol::{Change, How};
use crate::truth::Audited;

/// How many writes were acknowledged.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// A key without a record, as after a deletion with the number 0.
#[derive(Debug)]
struct Key {
    /// Whether a write deletes: the last acknowledged one, and those behind it.
    writes: BTreeMap<i64, bool>,
    begun: i64,
    /// Acknowledged puts that the audit must have, since no other stands for them.
    owed: BTreeSet<i64>,
    /// The last put of the audit.
    put: i64,
    /// What the audit says that the key holds.
    held: Option<i64>,
}

impl Default for Key {
    fn default() -> Self {
        Key { writes: BTreeMap::from([(0, true)]), begun: 0, owed: BTreeSet::new(), put: 0, held: None }
    }
}

impl Key {
    /// Those of its writes, from the last acknowledged one on, after which it holds this.
    fn explained_by(&self, found: Option<i64>) -> Vec<i64> {
        let fits = |(number, deletes): (&i64, &bool)| match found {
            Some(found) => found == *number && !deletes,
            None => *deletes,
        };
        self.writes.iter().filter(|(number, deletes)| fits((number, deletes))).map(|(number, _)| *number).collect()
    }

    fn acknowledged(&self) -> i64 {
        self.writes.keys().next().copied().unwrap_or_default()
    }
}

#[derive(Debug)]
struct Call {
    how: How,
    changes: Vec<Change>,
}

/// The history of one truth.
#[derive(Debug)]
pub(crate) struct Checker {
    keys: BTreeMap<Place, Key>,
    /// The calls of the living or last writer that were not answered.
    open: BTreeMap<u64, Call>,
    /// The last row of the audit that was checked.
    audited: i64,
    /// Keys whose last acknowledged write a kill left out of the truth.
    pending: Vec<Place>,
    found: BTreeMap<Place, Option<i64>>,
    pub(crate) acknowledged: Counts,
    /// What calls that failed said.
    pub(crate) failures: BTreeMap<String, u64>,
    /// How many keys were brought up to date from the journal.
    pub(crate) replayed: usize,
    letters: usize,
    pub(crate) violations: Vec<String>,
}

impl Checker {
    pub(crate) fn new() -> Self {
        Checker {
            keys: Place::all().map(|place| (place, Key::default())).collect(),
            open: BTreeMap::new(),
            audited: 0,
            pending: Vec::new(),
            found: BTreeMap::new(),
            acknowledged: Counts::new(),
            failures: BTreeMap::new(),
            replayed: 0,
            letters: 0,
            violations: Vec::new(),
        }
    }

    /// The number with which each key goes on.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (Place, i64)> {
        self.keys.iter().map(|(place, key)| (*place, key.begun + 1))
    }

    pub(crate) fn audited(&self) -> i64 {
        self.audited
    }

    pub(crate) fn begin(&mut self, call: u64, how: How, changes: Vec<Change>) {
        for change in &changes {
            let key = self.keys.entry(change.place).or_default();
            key.writes.insert(change.number, change.deletes);
            key.begun = change.number;
        }
        self.open.insert(call, Call { how, changes });
    }

    pub(crate) fn acknowledge(&mut self, call: u64) {
        let Some(Call { how, changes }) = self.open.remove(&call) else { return };
        let Some(first) = changes.first() else { return };
        let kind = match how {
            How::Single | How::Many => first.place.level.name(),
            How::Update | How::Transaction => how.name(),
        };
        *self.acknowledged.entry(kind).or_default() += 1;
        for change in &changes {
            let key = self.keys.entry(change.place).or_default();
            key.writes = key.writes.split_off(&change.number);
            let is_in_truth = matches!(how, How::Update | How::Transaction) || matches!(change.place.level, Level::Truth | Level::Through);
            if is_in_truth && !change.deletes {
                key.owed.insert(change.number);
            }
        }
    }

    pub(crate) fn fail(&mut self, call: u64, error: String) {
        self.open.remove(&call);
        *self.failures.entry(error).or_default() += 1;
    }

    /// Looks at what a kill left in the truth, and answers how many keys have writes that the journal alone holds.
    pub(crate) fn peek(&mut self, rows: &[(Place, i64)]) -> usize {
        let held: BTreeMap<Place, i64> = rows.iter().copied().collect();
        let is_behind = |(place, key): &(&Place, &Key)| key.explained_by(held.get(place).copied()).is_empty();
        let pending: Vec<Place> = self.keys.iter().filter(is_behind).map(|(place, _)| *place).collect();
        let before = std::mem::replace(&mut self.pending, pending);
        self.replayed += before.iter().filter(|place| !self.pending.contains(place)).count();
        self.pending.len()
    }

    /// Whether the last kill left writes that the journal alone held.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn find(&mut self, place: Place, number: Option<i64>) {
        self.found.insert(place, number);
    }

    /// Checks what a writer found, once it has told of all keys, and what the audit tells of how it came.
    pub(crate) fn check(&mut self, audit: &[Audited], dead_letters: Vec<String>) {
        let found = std::mem::take(&mut self.found);
        self.follow(audit);
        self.check_unanswered(&found);
        for (place, key) in &mut self.keys {
            let Some(&found) = found.get(place) else {
                self.violations.push(format!("{place}: the writer did not tell of it"));
                continue;
            };
            let explanations = key.explained_by(found);
            if explanations.is_empty() {
                let (first, begun) = (key.acknowledged(), key.begun);
                self.violations.push(format!("{place}: {} is found, but {first} is acknowledged, and {begun} begun", told(found)));
            }
            if found != key.held {
                self.violations.push(format!("{place}: {} is found, but the audit ends with {}", told(found), told(key.held)));
            }
            for number in std::mem::take(&mut key.owed) {
                self.violations.push(format!("{place}: {number} is acknowledged as in the truth, and was never there"));
            }
            let settled = explanations.last().copied().or(found).unwrap_or(key.begun);
            key.writes = BTreeMap::from([(settled, found.is_none())]);
        }
        let letters = std::mem::replace(&mut self.letters, dead_letters.len());
        self.violations.extend(dead_letters.into_iter().skip(letters).map(|letter| format!("a dead letter: {letter}")));
        self.open.clear();
        self.replayed += std::mem::take(&mut self.pending).len();
    }

    /// Goes through the audit's new rows: of a key, the puts must rise, and a deletion take what was put.
    fn follow(&mut self, audit: &[Audited]) {
        for &Audited { row, place, number, is_deletion } in audit {
            self.audited = row;
            let key = self.keys.entry(place).or_default();
            if is_deletion {
                if key.held != Some(number) {
                    self.violations.push(format!("{place}: {number} was deleted, but the audit had {}", told(key.held)));
                }
                key.held = None;
                continue;
            }
            if number == key.put {
                self.violations.push(format!("{place}: {number} was applied twice"));
            } else if number < key.put {
                self.violations.push(format!("{place}: {number} was applied behind {}", key.put));
            }
            if number > key.begun {
                self.violations.push(format!("{place}: {number} was applied, but {} is the last begun", key.begun));
            }
            key.owed.remove(&number);
            key.put = key.put.max(number);
            key.held = Some(number);
        }
    }

    /// Calls that the kill left without an answer have made all of their changes or none.
    fn check_unanswered(&mut self, found: &BTreeMap<Place, Option<i64>>) {
        for call in self.open.values() {
            let mut parts = Vec::new();
            for change in &call.changes {
                let (Some(key), Some(found)) = (self.keys.get(&change.place), found.get(&change.place)) else { continue };
                let explanations = key.explained_by(*found);
                let is_made = explanations.iter().all(|number| *number >= change.number);
                let is_open = explanations.is_empty() || explanations.iter().any(|number| (*number >= change.number) != is_made);
                if !is_open {
                    parts.push((change.place, is_made));
                }
            }
            if let Some(((made, _), (left, _))) = parts.iter().find(|part| part.1).zip(parts.iter().find(|part| !part.1)) {
                self.violations.push(format!("a call ({}) changed {made}, but not {left}", call.how.name()));
            }
        }
    }
}

fn told(found: Option<i64>) -> String {
    found.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Place = Place { level: Level::Journal, key: 1 };
    const B: Place = Place { level: Level::Through, key: 1 };

    fn put(place: Place, number: i64) -> Change {
        Change { place, number, deletes: false }
    }

    fn audited(row: i64, place: Place, number: i64) -> Audited {
        Audited { row, place, number, is_deletion: false }
    }

    /// Checks that these keys, and no others, hold something.
    fn check(checker: &mut Checker, held: &[(Place, i64)], audit: &[Audited]) -> String {
        for place in Place::all() {
            checker.find(place, held.iter().find(|(held, _)| *held == place).map(|(_, number)| *number));
        }
        checker.check(audit, Vec::new());
        std::mem::take(&mut checker.violations).join("\n")
    }

    /// Two acknowledged writes of a key, and one that is begun.
    fn three() -> Checker {
        let mut checker = Checker::new();
        for number in 1..=3 {
            checker.begin(number as u64, How::Single, vec![put(A, number)]);
        }
        checker.acknowledge(1);
        checker.acknowledge(2);
        checker
    }

    #[test]
    fn what_is_acknowledged_or_begun_may_be_found() {
        for number in [2, 3] {
            assert_eq!(check(&mut three(), &[(A, number)], &[audited(1, A, number)]), "");
        }
        let mut checker = three();
        assert_eq!(check(&mut checker, &[(A, 3)], &[audited(1, A, 1), audited(2, A, 3)]), "");
        assert!(check(&mut checker, &[(A, 2)], &[]).contains("2 is found, but 3 is acknowledged"), "what was found once stays");
        assert!(checker.numbers().any(|number| number == (A, 4)));
    }

    #[test]
    fn lost_and_invented_writes_are_violations() {
        assert!(check(&mut three(), &[(A, 1)], &[audited(1, A, 1)]).contains("1 is found, but 2 is acknowledged, and 3 begun"));
        assert!(check(&mut three(), &[], &[]).contains("nothing is found"));
        assert!(check(&mut three(), &[(A, 4)], &[audited(1, A, 4)]).contains("4 was applied, but 3 is the last begun"));
        assert!(check(&mut three(), &[(A, 2), (B, 1)], &[audited(1, A, 2), audited(2, B, 1)]).contains("through/1: 1 is found"));
    }

    #[test]
    fn a_write_is_applied_once_and_in_order() {
        let twice = [audited(1, A, 2), audited(2, A, 2)];
        assert_eq!(check(&mut three(), &[(A, 2)], &twice), "journal/1: 2 was applied twice");
        let back = [audited(1, A, 2), audited(2, A, 1), audited(3, A, 3)];
        assert_eq!(check(&mut three(), &[(A, 3)], &back), "journal/1: 1 was applied behind 2");
    }

    #[test]
    fn deletions_are_writes() {
        let deleted = |acknowledged: bool| {
            let mut checker = three();
            checker.acknowledge(3);
            checker.begin(4, How::Single, vec![Change { place: A, number: 4, deletes: true }]);
            if acknowledged {
                checker.acknowledge(4);
            }
            checker
        };
        let deletion = [audited(1, A, 3), Audited { row: 2, place: A, number: 3, is_deletion: true }];
        for acknowledged in [true, false] {
            assert_eq!(check(&mut deleted(acknowledged), &[], &deletion), "");
        }
        assert_eq!(check(&mut deleted(false), &[(A, 3)], &deletion[..1]), "");
        assert!(check(&mut deleted(true), &[(A, 3)], &deletion[..1]).contains("3 is found, but 4 is acknowledged"));
    }

    #[test]
    fn a_call_is_made_whole() {
        let begun = || {
            let mut checker = three();
            checker.acknowledge(3);
            checker.begin(4, How::Transaction, vec![put(A, 4), put(B, 1)]);
            checker
        };
        let whole = [audited(1, A, 4), audited(2, B, 1)];
        assert_eq!(check(&mut begun(), &[(A, 4), (B, 1)], &whole), "");
        assert_eq!(check(&mut begun(), &[(A, 3)], &[audited(1, A, 3)]), "");
        assert_eq!(check(&mut begun(), &[(A, 4)], &whole[..1]), "a call (transaction) changed journal/1, but not through/1");
    }

    #[test]
    fn what_is_said_to_be_in_the_truth_was_there() {
        let mut checker = Checker::new();
        for number in [1, 2] {
            checker.begin(number as u64, How::Single, vec![put(B, number)]);
            checker.acknowledge(number as u64);
        }
        let violations = check(&mut checker, &[(B, 2)], &[audited(1, B, 2)]);
        assert_eq!(violations, "through/1: 1 is acknowledged as in the truth, and was never there");
    }

    #[test]
    fn what_the_journal_alone_holds_is_counted() {
        let mut checker = three();
        assert_eq!((checker.peek(&[]), checker.peek(&[(A, 1)]), checker.peek(&[(A, 2)]), checker.peek(&[(A, 3)])), (1, 1, 0, 0));
        assert_eq!(checker.replayed, 1, "it was there at the third look");
    }
}
