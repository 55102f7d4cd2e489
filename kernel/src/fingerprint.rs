//! Numbers that stand for kernels and programs, so that they can be compared with what they were before without keeping a copy. Two that differ have different
//! numbers but for one chance in 2^64.

use crate::{BufferKind, Kernel, Program};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a program was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    /// The number of each kernel's code.
    pub kernels: Vec<u64>,
    /// The number of all else.
    rest: u64,
}

impl Program {
    /// What the program is. Constants count by where they are in memory, which copies of a program share.
    pub fn fingerprint(&self) -> Fingerprint {
        let kernels = self.kernels.iter().map(Kernel::code_number).collect();
        let mut rest = Mixer::default();
        (&self.name, self.arena_bytes, &self.checks).hash(&mut rest);
        self.kernels.iter().for_each(|kernel| kernel.name.hash(&mut rest));
        for launch in &self.launches {
            (launch.kernel, &launch.args).hash(&mut rest);
        }
        for buffer in &self.buffers {
            (buffer.dtype, buffer.len, buffer.offset).hash(&mut rest);
            let (kind, name) = match &buffer.kind {
                BufferKind::Temp => (0, ""),
                BufferKind::Input { name } => (1, name.as_str()),
                BufferKind::Output { name } => (2, name.as_str()),
                BufferKind::State { name } => (3, name.as_str()),
                BufferKind::Next { name } => (4, name.as_str()),
                BufferKind::Constant { bytes } => {
                    (Arc::as_ptr(bytes).addr(), bytes.len()).hash(&mut rest);
                    (5, "")
                }
            };
            (kind, name).hash(&mut rest);
        }
        Fingerprint { kernels, rest: rest.finish() }
    }
}

/// The number of whatever can be hashed.
pub(crate) fn number(of: &impl Hash) -> u64 {
    let mut mixer = Mixer::default();
    of.hash(&mut mixer);
    mixer.finish()
}

/// A fast hash of words, in this process: ops count by where their records are.
#[derive(Default)]
struct Mixer(u64);

/// An odd number with well spread bits: 2^64 by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Mixer {
    fn word(&mut self, word: u64) {
        // Both halves of a product have to do with all bits of the factor.
        let product = u128::from(self.0 ^ word ^ SPREAD) * u128::from(SPREAD);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }

    fn write_u8(&mut self, n: u8) {
        self.word(n.into());
    }

    fn write_u16(&mut self, n: u16) {
        self.word(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.word(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.word(n);
    }

    fn write_i64(&mut self, n: i64) {
        self.word(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.word(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.word(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_changes_changes_the_number() {
        let text = "program \"p\" arena 192\nb0: f32[8] input \"x\" @ 0\nb1: f32[8] temp @ 64\nb2: f32[8] output \"y\" @ 128\n\
                    kernel a(p0: read f32[8], p1: write f32[8]) { for i0 in 0..8 { store p1[i0] = neg(load p0[i0]) } }\n\
                    kernel b(p0: read f32[8], p1: write f32[8]) { for i0 in 0..8 { store p1[i0] = abs(load p0[i0]) } }\n\
                    launch a(b0, b1)\nlaunch b(b1, b2)\n";
        let of = |text: &str| text.parse::<Program>().unwrap().fingerprint();
        let mut seen = vec![of(text)];
        assert_eq!(of(text), seen[0]);
        for (from, to) in [
            ("neg", "exp"),
            ("kernel b", "kernel c"),
            ("arena 192", "arena 256"),
            ("temp", "output \"z\""),
            ("input \"x\"", "state \"x\""),
            ("@ 64", "@ 128"),
            ("store p1[i0] = neg(load p0[i0])", "store p1[i0] = neg(load p0[i0*1 + 1])"),
            (
                "write f32[8]) { for i0 in 0..8 { store p1[i0] = abs",
                "readwrite f32[8]) { for i0 in 0..8 { store p1[i0] = abs",
            ),
            ("launch a(b0, b1)", "launch a(b0, b2)"),
        ] {
            assert!(text.contains(from), "{from}");
            let changed =
                text.replace(from, to).replace("launch b(", if to == "kernel c" { "launch c(" } else { "launch b(" });
            let number = of(&changed);
            assert!(!seen.contains(&number), "{to}");
            seen.push(number);
        }
    }
}
