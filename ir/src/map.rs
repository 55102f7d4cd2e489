//! Maps of what an iterator gives.

use std::collections::BTreeMap;

/// The map of these entries; where several have one key, of the last. `collect` gives the same, but sorts the entries first, by a sort of its own for each
/// place that collects: of these crates' code as LLVM gets it, such sorts were a twentieth.
pub fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// As [`map_of`], of entries that may fail to be had.
///
/// # Errors
/// The first entry's that is one.
pub fn try_map_of<K: Ord, V, E>(entries: impl IntoIterator<Item = Result<(K, V), E>>) -> Result<BTreeMap<K, V>, E> {
    let mut map = BTreeMap::new();
    for entry in entries {
        let (key, value) = entry?;
        map.insert(key, value);
    }
    Ok(map)
}

/// Where each of them stands in a list.
pub(crate) fn positions<K: Ord + Copy>(order: &[K]) -> BTreeMap<K, usize> {
    map_of(order.iter().enumerate().map(|(at, &id)| (id, at)))
}
