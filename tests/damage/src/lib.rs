//! Files as they are damaged, or made up by somebody who means harm.

use ir::SplitMix64;

/// Changes one to four places of a file from the byte `from` on, which may be the end of what has to stay: a bit, a byte, or a number changes, a piece is cut out, doubled, filled, or made of
/// the characters that texts of data have, or the file ends there.
pub fn damage(bytes: &mut Vec<u8>, from: usize, random: &mut SplitMix64) {
    for _ in 0..=below(random, 4) {
        if bytes.len() <= from {
            return;
        }
        let at = from + below(random, bytes.len() - from);
        let end = bytes.len().min(at + 1 + below(random, 16));
        let number = if below(random, 2) == 0 { random.bits() % 40 } else { u64::MAX >> below(random, 64) };
        match below(random, 13) {
            0..3 => bytes[at] ^= 1 << below(random, 8),
            3..5 => bytes[at] = random.bits() as u8,
            5..7 => bytes[at..].iter_mut().zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new),
            7 => drop(bytes.drain(at..end)),
            8 => bytes.insert(at, random.bits() as u8),
            9 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            10 => bytes[at..end].fill([0, 0xff, 0x7f, b'9'][below(random, 4)]),
            11 => bytes[at..end].iter_mut().for_each(|byte| *byte = b"0919-,[]{}\"e:"[below(random, 13)]),
            _ => bytes.truncate(at),
        }
    }
}

fn below(random: &mut SplitMix64, n: usize) -> usize {
    (random.bits() % n as u64) as usize
}
