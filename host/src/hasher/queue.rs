//! A queue in which sources take turns.

use std::collections::{HashMap, VecDeque};

use crate::source::Source;

/// The waiting items, in order within each source.
pub(super) struct Queue<T> {
    by_source: HashMap<Source, VecDeque<T>>,
    /// The sources with waiting items, each once; the first is next.
    turns: VecDeque<Source>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            by_source: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn len(&self) -> usize {
        self.by_source.values().map(VecDeque::len).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.by_source.values().flatten()
    }

    pub(super) fn push(&mut self, source: Source, item: T) {
        let waiting = self.by_source.entry(source).or_default();
        if waiting.is_empty() {
            self.turns.push_back(source);
        }
        waiting.push_back(item);
    }

    /// Returns the first item of the source whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let waiting = self.by_source.get_mut(&source)?;
        let item = waiting.pop_front();
        if waiting.is_empty() {
            drop(self.by_source.remove(&source))
        } else {
            self.turns.push_back(source)
        }
        item
    }

    /// Removes the latest item of the source with the most, to make room for one more
    /// of this source. Returns `None` if this source would then have more than that
    /// one.
    pub(super) fn make_room_for(&mut self, source: Source) -> Option<T> {
        let own = self.by_source.get(&source).map_or(0, VecDeque::len);
        let most = self.by_source.values_mut().max_by_key(|it| it.len())?;
        if most.len() > own + 1 {
            most.pop_back()
        } else {
            None
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for waiting in self.by_source.values_mut() {
            waiting.retain(&keep);
        }
        let Self { by_source, turns } = self;
        by_source.retain(|_, waiting| !waiting.is_empty());
        turns.retain(|source| by_source.contains_key(source));
    }

    pub(super) fn clear(&mut self) {
        self.by_source.clear();
        self.turns.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::V4(number)
    }

    fn drained(mut queue: Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn sources_take_turns_and_each_keeps_its_order() {
        let mut queue = Queue::default();
        for (from, item) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
            queue.push(source(from), item);
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(queue.pop(), Some(10));
        // A later source waits for one item of each of the others.
        queue.push(source(4), 40);
        assert_eq!(drained(queue), [20, 30, 11, 40, 21, 12]);
    }

    #[test]
    fn the_source_with_the_most_items_yields_only_to_one_with_fewer() {
        let mut queue = Queue::default();
        for item in 10..14 {
            queue.push(source(1), item);
        }
        assert_eq!(queue.make_room_for(source(1)), None);
        assert_eq!(queue.make_room_for(source(2)), Some(13));
        queue.push(source(2), 20);
        assert_eq!(queue.make_room_for(source(2)), Some(12));
        queue.push(source(2), 21);
        assert_eq!(queue.make_room_for(source(2)), None, "both have two");
        assert_eq!(queue.make_room_for(source(1)), None);
        assert!(queue.make_room_for(source(3)).is_some());
    }

    #[test]
    fn removed_items_leave_no_turn_behind() {
        let mut queue = Queue::default();
        for (from, item) in [(1, 10), (2, 20), (1, 11), (3, 30)] {
            queue.push(source(from), item);
        }
        queue.retain(|item| item % 10 != 0);
        assert_eq!((queue.len(), queue.iter().count()), (1, 1));
        queue.push(source(2), 21);
        assert_eq!(drained(queue), [11, 21]);
        let mut empty = Queue::<u32>::default();
        assert_eq!(empty.pop(), None);
        assert_eq!(empty.make_room_for(source(1)), None);
    }
}
