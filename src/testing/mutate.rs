//! Files as they are damaged, or made up.

use ir::SplitMix64;

/// Changes a file in one of the ways in which files are damaged, or made up.
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut SplitMix64) {
    let below = |random: &mut SplitMix64, n: usize| (random.bits() % n.max(1) as u64) as usize;
    for _ in 0..=below(random, 3) {
        let (at, n) = (below(random, bytes.len()), below(random, 40));
        let end = bytes.len().min(at + n);
        match below(random, 6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, (0..n).map(|i| (i * 37) as u8))),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte = b"0919-,[]{}\"e:"[n % 13]),
            4 if !bytes.is_empty() => bytes[at] ^= 1 << (n % 8),
            _ => bytes[at..end].fill([0, 0xff, 0x7f, b'9'][n % 4]),
        }
    }
}
