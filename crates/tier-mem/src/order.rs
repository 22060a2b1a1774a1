//! Which entry leaves first, exactly, over the whole shelf.

use std::collections::BTreeSet;

use store_core::Eviction;

/// The order in which entries leave. It knows them by their slot alone.
#[derive(Debug)]
pub(crate) enum Order {
    /// LRU: a use moves an entry to the back.
    Recency(List),
    /// FIFO: nothing moves.
    Arrival(List),
    /// LFU.
    Frequency(Ranking),
}

impl Order {
    pub(crate) fn new(eviction: Eviction) -> Self {
        match eviction {
            Eviction::Lru => Order::Recency(List::default()),
            Eviction::Fifo => Order::Arrival(List::default()),
            Eviction::Lfu => Order::Frequency(Ranking::default()),
        }
    }

    /// Takes an entry in, which counts as a use. `uses` is what [`leave`](Self::leave) gave for the entry it replaces, 0 for a new one.
    pub(crate) fn join(&mut self, slot: usize, uses: u64) {
        match self {
            Order::Recency(list) | Order::Arrival(list) => list.push_back(slot),
            Order::Frequency(ranking) => ranking.insert(slot, uses.saturating_add(1)),
        }
    }

    /// Counts a use.
    pub(crate) fn touch(&mut self, slot: usize) {
        match self {
            Order::Recency(list) => {
                list.unlink(slot);
                list.push_back(slot);
            }
            Order::Arrival(_) => {}
            Order::Frequency(ranking) => {
                let uses = ranking.remove(slot);
                ranking.insert(slot, uses.saturating_add(1));
            }
        }
    }

    /// Lets an entry go, and returns its uses where they are counted.
    pub(crate) fn leave(&mut self, slot: usize) -> u64 {
        match self {
            Order::Recency(list) | Order::Arrival(list) => {
                list.unlink(slot);
                0
            }
            Order::Frequency(ranking) => ranking.remove(slot),
        }
    }

    /// The entry that leaves first.
    pub(crate) fn first(&self) -> Option<usize> {
        match self {
            Order::Recency(list) | Order::Arrival(list) => list.front(),
            Order::Frequency(ranking) => ranking.first(),
        }
    }
}

/// Marks the end of a [`List`] in either direction.
const END: usize = usize::MAX;

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: usize,
    next: usize,
}

/// A doubly linked list of slots whose links are found by slot.
#[derive(Debug)]
pub(crate) struct List {
    links: Vec<Link>,
    front: usize,
    back: usize,
}

impl Default for List {
    fn default() -> Self {
        List { links: Vec::new(), front: END, back: END }
    }
}

impl List {
    fn front(&self) -> Option<usize> {
        (self.front != END).then_some(self.front)
    }

    fn push_back(&mut self, slot: usize) {
        if slot >= self.links.len() {
            self.links.resize(slot + 1, Link { previous: END, next: END });
        }
        self.links[slot] = Link { previous: self.back, next: END };
        match self.links.get_mut(self.back) {
            Some(back) => back.next = slot,
            None => self.front = slot,
        }
        self.back = slot;
    }

    fn unlink(&mut self, slot: usize) {
        let Link { previous, next } = self.links[slot];
        match self.links.get_mut(previous) {
            Some(link) => link.next = next,
            None => self.front = next,
        }
        match self.links.get_mut(next) {
            Some(link) => link.previous = previous,
            None => self.back = previous,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Rank {
    uses: u64,
    /// Counts the uses of all entries, so that it tells which of two was used longer ago.
    last_use: u64,
}

/// Slots by number of uses, then by last use. Counts are exact: they neither age nor decay, and saturate at `u64::MAX`.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    ranks: Vec<Rank>,
    order: BTreeSet<(u64, u64, usize)>,
    last_use: u64,
}

impl Ranking {
    fn insert(&mut self, slot: usize, uses: u64) {
        if slot >= self.ranks.len() {
            self.ranks.resize(slot + 1, Rank::default());
        }
        self.last_use += 1;
        self.ranks[slot] = Rank { uses, last_use: self.last_use };
        self.order.insert((uses, self.last_use, slot));
    }

    fn remove(&mut self, slot: usize) -> u64 {
        let Rank { uses, last_use } = self.ranks[slot];
        self.order.remove(&(uses, last_use, slot));
        uses
    }

    fn first(&self) -> Option<usize> {
        self.order.first().map(|&(_, _, slot)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mut order: Order) -> Vec<usize> {
        std::iter::from_fn(|| {
            let slot = order.first()?;
            order.leave(slot);
            Some(slot)
        })
        .collect()
    }

    fn joined(eviction: Eviction, slots: [usize; 4]) -> Order {
        let mut order = Order::new(eviction);
        for slot in slots {
            order.join(slot, 0);
        }
        order
    }

    #[test]
    fn a_list_survives_unlinking_front_middle_and_back() {
        for taken in 0..4 {
            let mut order = joined(Eviction::Fifo, [3, 0, 2, 1]);
            order.leave(taken);
            let expected: Vec<_> = [3, 0, 2, 1].into_iter().filter(|&slot| slot != taken).collect();
            assert_eq!(drain(order), expected);
        }
    }

    #[test]
    fn touching_reorders_by_recency_and_frequency_but_not_by_arrival() {
        for (eviction, expected) in [(Eviction::Lru, [1, 3, 2, 0]), (Eviction::Lfu, [1, 3, 2, 0]), (Eviction::Fifo, [0, 1, 2, 3])] {
            let mut order = joined(eviction, [0, 1, 2, 3]);
            for slot in [0, 2, 0] {
                order.touch(slot);
            }
            assert_eq!(drain(order), expected, "{eviction:?}");
        }
    }

    #[test]
    fn a_count_at_its_end_stays_there() {
        let mut order = Order::new(Eviction::Lfu);
        order.join(0, u64::MAX);
        order.touch(0);
        order.join(1, u64::MAX - 2);
        assert_eq!(order.leave(0), u64::MAX);
        assert_eq!(order.leave(1), u64::MAX - 1);
        assert_eq!(order.first(), None);
    }
}
