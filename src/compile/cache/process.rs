//! Code that this process has made or read before.

use super::{Entry, Key};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Steps that are kept at most.
const MOST_PROGRAMS: usize = 64;
/// Bytes of code and constants that are kept at most.
const MOST_BYTES: usize = 256 << 20;

/// Entries with the moment of their last use.
#[derive(Default)]
struct Shelf {
    entries: BTreeMap<Key, (Entry, u64)>,
    /// Counts the uses.
    now: u64,
}

static SHELF: Mutex<Shelf> = Mutex::new(Shelf { entries: BTreeMap::new(), now: 0 });

/// What is kept under a key.
pub(super) fn find(key: Key) -> Option<Entry> {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner).find(key)
}

/// Keeps an entry, and lets go what hasn't been used for longest where there are too many.
pub(super) fn keep(key: Key, entry: Entry) {
    let dropped = SHELF.lock().unwrap_or_else(PoisonError::into_inner).keep(key, entry, MOST_PROGRAMS, MOST_BYTES);
    // Code is unmapped here, where nobody waits for the lock.
    drop(dropped);
}

/// Forgets what is kept under a key.
#[cfg(test)]
pub(super) fn forget(key: Key) {
    SHELF.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&key);
}

impl Shelf {
    fn find(&mut self, key: Key) -> Option<Entry> {
        self.now += 1;
        let (entry, used) = self.entries.get_mut(&key)?;
        *used = self.now;
        Some(entry.clone())
    }

    fn keep(&mut self, key: Key, entry: Entry, programs: usize, bytes: usize) -> Vec<Entry> {
        self.now += 1;
        let mut dropped: Vec<Entry> =
            self.entries.insert(key, (entry, self.now)).map(|(old, _)| old).into_iter().collect();
        let total =
            |entries: &BTreeMap<Key, (Entry, u64)>| entries.values().map(|(e, _)| e.loaded.bytes()).sum::<usize>();
        while self.entries.len() > programs || total(&self.entries) > bytes {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            let Some((entry, _)) = oldest.and_then(|key| self.entries.remove(&key)) else { break };
            dropped.push(entry);
        }
        dropped
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::compile::cache::tests::entry;

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    #[test]
    fn what_was_used_last_stays() {
        let mut shelf = Shelf::default();
        let entry = entry();
        for number in 0..3 {
            shelf.keep(key(number), entry.clone(), 3, usize::MAX);
        }
        assert!(shelf.find(key(0)).is_some());
        assert_eq!(shelf.keep(key(3), entry.clone(), 3, usize::MAX).len(), 1);
        let kept: Vec<u8> = shelf.entries.keys().map(|key| key.0[0]).collect();
        assert_eq!(kept, [0, 2, 3]);
        let bytes = entry.loaded.bytes();
        assert!(bytes > 0);
        assert_eq!(shelf.keep(key(4), entry.clone(), 99, 2 * bytes).len(), 2);
        assert_eq!(shelf.keep(key(5), entry, 99, bytes - 1).len(), 3, "what is too large alone isn't kept");
    }
}
