//! Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! Element `e` of an op is a pure function of (key, step, stream, e), so results don't depend on threads or schedules: the
//! Philox key is the two halves of the `key` operand, low half first; the counter is (block, `stream`, low half of `step`, high half
//! of `step`), each 32 bits. Each element has a word of its own. 64 elements in a row ([`GROUP`]) have the words of 16 blocks, the first words
//! of all of them before the second ones: element `e` has word `e % 64 / 16` of block `e / 64 * 16 + e % 16`, see [`word_of`]. So machines compute
//! neighbouring blocks side by side and find their words in the elements' order. Uniform numbers are made of their word; normal ones come in
//! pairs, 16 elements apart, which are made of the words of both.

use super::attr::{Attr, AttrMap};
use super::batch::Batching;
use crate::op::OpRecord;
use crate::{
    Arity, Cotangent, DType, EvalError, Family, OpDef, OpRules, OperandGradients, RuleError, Scalar, TensorType, Value,
};
use std::f64::consts::TAU;

/// Blocks that are computed side by side: elements whose number in their group differs by that have words of the same block.
pub const SIDE: usize = 16;
/// Elements that share so many blocks.
pub const GROUP: usize = 4 * SIDE;

/// The block of an element, and which of its words it has.
pub fn word_of(e: usize) -> (usize, usize) {
    (e / GROUP * SIDE + e % SIDE, e % GROUP / SIDE)
}

/// What is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RandomKind {
    /// Uniform on [0, 1): the word's upper 24 bits times 2^-24 (`f16`: 11 bits, `bf16`: 8 bits, so that nothing rounds to 1). Floats.
    Uniform,
    /// Normal with mean 0 and variance 1, by Box and Muller, words 0 and 1 of a block making a pair, words 2 and 3 another one: of the
    /// pair `(a, b)`, `u1 = ((a >> 8) + 1) * 2^-24`, `u2 = (b >> 8) * 2^-24`, `r = sqrt(-2 ln u1)`, and the element that has word `a` is
    /// `r cos(2π u2)`, the one that has `b` is `r sin(2π u2)`. Floats; computed in `f64` by the reference, in the element type (16-bit
    /// floats: `f32`) by compiled code. At most 5.77 in size.
    Normal,
}

impl RandomKind {
    /// Both, in the order of their names.
    const ALL: [Self; 2] = [Self::Uniform, Self::Normal];
}

/// Random elements. Operands: `key` and `step`, both `i64[]`. Text: `random_uniform %key, %step {stream=3} : f32[32,128]`,
/// `random_normal`. No derivative.
#[derive(Clone, PartialEq, Debug)]
pub struct Random {
    /// What is drawn.
    pub kind: RandomKind,
    /// Keeps the ops of one graph apart; below 2^32.
    pub stream: u32,
    /// The result's type.
    pub ty: TensorType,
}

impl Random {
    /// What an element with that word of a block is.
    fn element(&self, block: [u32; 4], word: usize) -> f64 {
        const UNIT: f64 = 1.0 / (1u32 << 24) as f64;
        match self.kind {
            RandomKind::Uniform => {
                let bits = uniform_bits(self.ty.dtype);
                f64::from(block[word] >> (32 - bits)) / f64::from(1u32 << bits)
            }
            RandomKind::Normal => {
                let pair = word / 2 * 2;
                let u1 = f64::from((block[pair] >> 8) + 1) * UNIT;
                let u2 = f64::from(block[pair + 1] >> 8) * UNIT;
                let (sin, cos) = (TAU * u2).sin_cos();
                (-2.0 * u1.ln()).sqrt() * if word == pair { cos } else { sin }
            }
        }
    }
}

/// How many bits of a word a uniform number of that type keeps: what its significand holds, at most 24.
pub fn uniform_bits(dtype: DType) -> u32 {
    match dtype {
        DType::F16 => 11,
        DType::Bf16 => 8,
        _ => 24,
    }
}

/// The Philox 4x32-10 block of a key and a counter; the multipliers and key increments are the paper's.
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut k, mut c) = (key, counter);
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
        }
        let (hi0, lo0) = wide_product(0xD251_1F53, c[0]);
        let (hi1, lo1) = wide_product(0xCD9E_8D57, c[2]);
        c = [hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0];
    }
    c
}

/// The high and the low half of a product.
fn wide_product(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// The low and the high half.
fn halves(v: i64) -> [u32; 2] {
    [v as u32, (v >> 32) as u32]
}

impl OpRecord for Random {
    const DEFS: &'static [OpDef] = &[
        OpDef {
            name: "random_uniform",
            doc: "random numbers, uniform on [0, 1)",
            family: Family::Random,
            arity: Arity::Exactly(2),
        },
        OpDef {
            name: "random_normal",
            doc: "random numbers, normal with mean 0 and variance 1",
            family: Family::Random,
            arity: Arity::Exactly(2),
        },
    ];

    fn from_attrs(number: usize, attrs: &mut AttrMap, ty: &TensorType) -> Result<Self, RuleError> {
        let stream = attrs.usize("stream")?;
        let stream = u32::try_from(stream).map_err(|_| format!("`stream` is {stream}, it must be below 2^32"))?;
        Ok(Self { kind: RandomKind::ALL[number], stream, ty: ty.clone() })
    }

    fn number(&self) -> usize {
        self.kind as usize
    }
}

impl OpRules for Random {
    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![("stream", Attr::Int(i64::from(self.stream)))]
    }

    fn batching(&self) -> Batching<'_> {
        Batching::Whole
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, RuleError> {
        for (what, ty) in ["key", "step"].iter().zip(operands) {
            if ty.dtype != DType::I64 || ty.shape.rank() != 0 {
                return Err(format!("the {what} must be i64[], it is {ty}").into());
            }
        }
        if !self.ty.dtype.is_float() {
            return Err(format!("random numbers are floats, the result is {}", self.ty).into());
        }
        // A block's number is one 32-bit word of the counter.
        let limit = 4u64 << 32;
        if self.ty.shape.numel() as u64 > limit {
            return Err(
                format!("the result {} has more than {limit} elements, all that one stream gives", self.ty).into()
            );
        }
        Ok(self.ty.clone())
    }

    fn eval(&self, operands: &[&Value], ty: &TensorType) -> Result<Value, EvalError> {
        let (key, step) = (halves(operands[0].get(0).as_i64()), halves(operands[1].get(0).as_i64()));
        Ok(Value::from_fn(ty.clone(), |e| {
            let (block, word) = word_of(e);
            let counter = [block as u32, self.stream, step[0], step[1]];
            Scalar::from_f64(self.element(philox(key, counter), word), ty.dtype)
        }))
    }

    fn derivative(&self, _cx: &mut Cotangent<'_>) -> OperandGradients {
        Ok(vec![None, None])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the paper's reference implementation (Random123, `kat_vectors`).
    #[test]
    fn philox_gives_the_known_answers() {
        assert_eq!(philox([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 2], [u32::MAX; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let (key, counter) = ([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
        assert_eq!(philox(key, counter), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
