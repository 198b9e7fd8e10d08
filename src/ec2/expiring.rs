use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use tokio::time::{Duration, Instant};

/// A map of so many entries at most, each for the same time. Where it is full, the oldest entry makes room.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    lifetime: Duration,
    capacity: usize,
    entries: HashMap<K, (V, Instant)>,
    /// Every key that is in, with the end of its time, oldest first; a key that was set anew also stands where it
    /// stood before, with another end.
    order: VecDeque<(K, Instant)>,
}

impl<K: Eq + Hash + Copy, V> Expiring<K, V> {
    pub(super) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self { lifetime, capacity, entries: HashMap::new(), order: VecDeque::new() }
    }

    /// What is known of `key` at `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|(_, end)| now < *end).map(|(value, _)| value)
    }

    /// Remembers `value` from `now` on.
    pub(super) fn set(&mut self, key: K, value: V, now: Instant) {
        let end = now + self.lifetime;
        self.entries.insert(key, (value, end));
        self.order.push_back((key, end));
        while let Some((oldest, its_end)) = self.order.front().copied() {
            // `order` is bounded as well: what is set anew all the time leaves its old places there.
            let full = self.entries.len() > self.capacity || self.order.len() > 2 * self.capacity;
            let current = self.entries.get(&oldest).is_some_and(|(_, end)| *end == its_end);
            if current && now < its_end && !full {
                break;
            }
            self.order.pop_front();
            if current {
                self.entries.remove(&oldest);
            }
        }
    }

    /// How many entries there are, those whose time is over and that nothing has swept out yet included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_entry_ends_with_its_time() {
        let mut map = Expiring::new(10 * SECOND, 10);
        let now = Instant::now();
        map.set(1, 'a', now);
        assert_eq!(map.get(&1, now + 9 * SECOND), Some(&'a'));
        assert_eq!(map.get(&1, now + 10 * SECOND), None);
        map.set(1, 'b', now + 5 * SECOND);
        assert_eq!(map.get(&1, now + 14 * SECOND), Some(&'b'), "its time begins anew");
        map.set(2, 'c', now + 15 * SECOND);
        assert_eq!(map.len(), 1, "what is over is swept out");
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut map = Expiring::new(10 * SECOND, 2);
        let now = Instant::now();
        for (key, at) in [(1, 0), (2, 1), (1, 2), (3, 3)] {
            map.set(key, key, now + at * SECOND);
        }
        assert_eq!([1, 2, 3].map(|key| map.get(&key, now + 3 * SECOND).copied()), [Some(1), None, Some(3)]);
    }

    proptest! {
        /// Whatever is set when: never more than the capacity, never a value of another key or after its time, and
        /// the last one set is always there.
        #[test]
        fn it_is_bounded_and_tells_no_lies(sets in prop::collection::vec((0..20_u8, 0..4_u32), 1..200)) {
            let mut map = Expiring::new(10 * SECOND, 5);
            let mut now = Instant::now();
            let mut last_set = HashMap::new();
            for (key, gap) in sets {
                now += gap * SECOND;
                map.set(key, now, now);
                last_set.insert(key, now);
                prop_assert!(map.len() <= 5 && map.order.len() <= 10);
                prop_assert_eq!(map.get(&key, now), Some(&now));
                for (key, at) in &last_set {
                    if let Some(value) = map.get(key, now) {
                        prop_assert!(value == at && now < *at + 10 * SECOND);
                    }
                }
            }
        }
    }
}
