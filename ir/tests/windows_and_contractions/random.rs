//! Random numbers: which word goes where, ranges, moments.

use crate::{eval, i64s, ty};
use ir::op::random::{Random, RandomKind, philox};
use ir::{DType, Op, Scalar, Value};

fn draw(kind: RandomKind, dtype: DType, len: usize, key: i64, step: i64, stream: u32) -> Value {
    let op = Op::Random(Random { kind, stream, ty: ty(dtype, &[len]) });
    eval(op, &[&i64s(&[], &[key]), &i64s(&[], &[step])])
}

#[test]
fn uniform_numbers_are_the_upper_bits_of_the_known_answers() {
    // The first two words of the block of zeros are 6627e8d5 and e169c58d: those of the elements 0 and 16.
    let got = draw(RandomKind::Uniform, DType::F32, 17, 0, 0, 0);
    let unit = 2f32.powi(-24);
    let got = got.as_f32().unwrap();
    assert_eq!([got[0], got[16]], [0x0066_27e8 as f32 * unit, 0x00e1_69c5 as f32 * unit]);
    let half = draw(RandomKind::Uniform, DType::F16, 1, 0, 0, 0);
    assert_eq!(half.get(0).as_f64(), f64::from(0x6627_e8d5u32 >> 21) / 2048.0);
}

#[test]
fn key_step_stream_and_element_have_their_words() {
    let (key, step, stream) = (0x0123_4567_89ab_cdef, -2, 7);
    let got = draw(RandomKind::Uniform, DType::F64, 150, key, step, stream).to_f64_vec();
    let of = |block| philox([0x89ab_cdef, 0x0123_4567], [block, stream, 0xffff_fffe, 0xffff_ffff]);
    // Groups of 64: the first words of 16 blocks, then their second ones, and so on.
    let words = (0..3).flat_map(|group| (0..4).flat_map(move |word| (0..16).map(move |b| of(group * 16 + b)[word])));
    let want: Vec<f64> = words.map(|w| f64::from(w >> 8) / 16_777_216.0).collect();
    assert_eq!(got, want[..150]);
}

#[test]
fn normal_numbers_come_in_pairs() {
    let got = draw(RandomKind::Normal, DType::F64, 70, 5, 6, 7).to_f64_vec();
    let polar = |block, pair: usize| {
        let words = philox([5, 0], [block, 7, 6, 0]);
        let (a, b) = (words[2 * pair], words[2 * pair + 1]);
        let radius = (-2.0 * ((f64::from(a >> 8) + 1.0) / 16_777_216.0).ln()).sqrt();
        (radius, std::f64::consts::TAU * f64::from(b >> 8) / 16_777_216.0)
    };
    for (first, block, pair) in [(0, 0, 0), (3, 3, 0), (32, 0, 1), (47, 15, 1)] {
        let (r, angle) = polar(block, pair);
        let want = [r * angle.cos(), r * angle.sin()];
        let pair = [got[first], got[first + 16]];
        assert!(pair.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-14), "{first}: {pair:?} {want:?}");
    }
    let (r, angle) = polar(16, 0);
    assert!((got[64] - r * angle.cos()).abs() < 1e-14);
}

#[test]
fn moments_are_those_of_the_distributions() {
    let moments = |kind, seed| {
        let x = draw(kind, DType::F32, 40_000, seed, 0, 0).to_f64_vec();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        let fourth = x.iter().map(|v| (v - mean).powi(4)).sum::<f64>() / n / variance.powi(2);
        (mean, variance, fourth)
    };
    // Five standard errors of the mean, and as wide for the others.
    let (mean, variance, fourth) = moments(RandomKind::Uniform, 1);
    assert!((mean - 0.5).abs() < 0.008 && (variance - 1.0 / 12.0).abs() < 0.002 && (fourth - 1.8).abs() < 0.03);
    let (mean, variance, fourth) = moments(RandomKind::Normal, 1);
    assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.036 && (fourth - 3.0).abs() < 0.13);
}

#[test]
fn every_float_type_stays_below_one() {
    for dtype in [DType::F32, DType::F64, DType::Bf16, DType::F16] {
        let x = draw(RandomKind::Uniform, dtype, 20_000, 3, 0, 0).to_f64_vec();
        assert!(x.iter().all(|v| (0.0..1.0).contains(v)), "{dtype}");
        assert!(x.iter().any(|v| *v > 0.995), "{dtype}: the upper end is reached");
    }
}

#[test]
fn any_operand_changes_all_and_the_length_changes_nothing() {
    let x = draw(RandomKind::Uniform, DType::F32, 64, 1, 2, 3);
    for other in [(0, 2, 3), (1, 3, 3), (1, 2, 4), (1 + (1 << 32), 2, 3), (1, 2 + (1 << 32), 3)] {
        let y = draw(RandomKind::Uniform, DType::F32, 64, other.0, other.1, other.2);
        assert!((0..64).all(|i| x.get(i) != y.get(i)), "{other:?}");
    }
    let shorter = draw(RandomKind::Uniform, DType::F32, 5, 1, 2, 3);
    assert!((0..5).all(|i| x.get(i) == shorter.get(i)));
    assert!((0..64).all(|i| matches!(x.get(i), Scalar::F32(_))));
}
