//! Attention against loops over heads, queries and keys; steps with kept keys against whole sequences; gradients.

use super::*;
use crate::dsl::{GraphBuilder, Tensor, bool_, constant, f64, i32};
use crate::nn::{Layer, TransformerBlock};
use crate::testing::{Runner, assert_close, check_gradients, random, random_runner, value};
use std::sync::Arc;

/// A matrix product `[rows, inner] · [inner, columns] + bias`.
pub(crate) fn linear(x: &[f64], kernel: &[f64], bias: &[f64]) -> Vec<f64> {
    let (inner, columns) = (kernel.len() / bias.len(), bias.len());
    let rows = x.chunks(inner);
    rows.flat_map(|row| {
        (0..columns).map(|c| bias[c] + row.iter().enumerate().map(|(i, v)| v * kernel[i * columns + c]).sum::<f64>())
    })
    .collect()
}

/// Queries, keys, heads, and the size of a head, of one sample.
#[derive(Clone, Copy)]
pub(crate) struct Extents(pub usize, pub usize, pub usize, pub usize);

/// Attention of one sample: `q [queries, heads, size]`, `k` and `v [keys, heads, size]`; `sees(query, key)`. Exponentials without any shift.
pub(crate) fn attend(
    Extents(queries, keys, heads, size): Extents,
    [q, k, v]: [&[f64]; 3],
    sees: &dyn Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let mut y = vec![0.0; queries * heads * size];
    for (i, h) in (0..queries).flat_map(|i| (0..heads).map(move |h| (i, h))) {
        let row = |t: &[f64], p: usize| t[(p * heads + h) * size..(p * heads + h + 1) * size].to_vec();
        let weight = |j: usize| {
            let product: f64 = row(q, i).iter().zip(row(k, j)).map(|(a, b)| a * b).sum();
            if sees(i, j) { (product / (size as f64).sqrt()).exp() } else { 0.0 }
        };
        let total: f64 = (0..keys).map(weight).sum();
        for j in (0..keys).filter(|&j| sees(i, j)) {
            for (d, value) in row(v, j).into_iter().enumerate() {
                y[(i * heads + h) * size + d] += weight(j) / total * value;
            }
        }
    }
    y
}

/// Column range `part` of `count` equal ones of a matrix with rows of that width.
pub(crate) fn columns(x: &[f64], width: usize, part: usize, count: usize) -> Vec<f64> {
    let n = width / count;
    x.chunks(width).flat_map(|row| row[part * n..(part + 1) * n].to_vec()).collect()
}

const DIMS: [usize; 3] = [2, 4, 6];

fn input(g: &GraphBuilder) -> Tensor {
    g.param("x", f64(DIMS), constant(0.0))
}

/// Self-attention of both samples by loops, from the parameters in a runner.
fn by_loops(runner: &Runner, mask: &dyn Fn(usize, usize, usize) -> bool) -> Vec<f64> {
    let [_, length, width] = DIMS;
    let state = |part: &str| runner.state(&format!("multi_head_attention/{part}"));
    let x = runner.state("x");
    x.chunks(length * width)
        .enumerate()
        .flat_map(|(sample, x)| {
            let qkv = linear(x, &state("qkv/kernel"), &state("qkv/bias"));
            let part = |i| columns(&qkv, 18, i, 3);
            let y = attend(Extents(length, length, 3, 2), [&part(0), &part(1), &part(2)], &|i, j| mask(sample, i, j));
            linear(&y, &state("output/kernel"), &state("output/bias"))
        })
        .collect()
}

#[test]
fn self_attention_is_its_loops() {
    for causal in [false, true] {
        let layer = MultiHeadAttention::new(3, 2).causal(causal);
        let mut runner = random_runner(&|g| layer.apply(&input(g)));
        let want = by_loops(&runner, &|_, i, j| !causal || j <= i);
        assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
    }
}

#[test]
fn padded_keys_take_no_part_and_blind_queries_get_nothing() {
    // The second sample has no token at all.
    let tokens = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    let layer = MultiHeadAttention::new(3, 2).causal(true);
    let mut runner = random_runner(&|g| layer.apply(&input(g).with_mask(&g.constant(value(bool_([2, 4]), &tokens)))));
    let mut want = by_loops(&runner, &|_, i, j| j <= i && j != 2);
    let bias = runner.state("multi_head_attention/output/bias");
    for (i, v) in want.iter_mut().enumerate().skip(24) {
        *v = bias[i % 6];
    }
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
}

#[test]
fn attention_across_two_sequences_is_its_loops() {
    let layer = MultiHeadAttention::new(2, 3).output_width(4);
    let mut runner = random_runner(&|g| layer.apply((&input(g), &g.param("memory", f64([2, 5, 3]), constant(0.0)))));
    let state = |part: &str| runner.state(&format!("multi_head_attention/{part}"));
    let (x, memory) = (runner.state("x"), runner.state("memory"));
    let want: Vec<f64> = (x.chunks(24).zip(memory.chunks(15)))
        .flat_map(|(x, memory)| {
            let q = linear(x, &state("query/kernel"), &state("query/bias"));
            let kv = linear(memory, &state("key_value/kernel"), &state("key_value/bias"));
            let (k, v) = (columns(&kv, 12, 0, 2), columns(&kv, 12, 1, 2));
            let y = attend(Extents(4, 5, 2, 3), [&q, &k, &v], &|_, _| true);
            linear(&y, &state("output/kernel"), &state("output/bias"))
        })
        .collect();
    assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-12);
}

#[test]
fn large_scores_neither_overflow_nor_lose_their_order() {
    let got = crate::testing::eval(|g| {
        let q = crate::testing::constant(g, &[1, 1, 1, 1], &[1e4]);
        let k = crate::testing::constant(g, &[1, 3, 1, 1], &[1e4, -1e4, 1e4]);
        attention_weights(&q, &k, &AttentionMask::none())
    });
    assert_eq!(got, [0.5, 0.0, 0.5]);
}

#[test]
fn rotation_is_a_product_of_complex_numbers() {
    let numbers = random(3, 3 * 2 * 4);
    let got = crate::testing::eval(|g| Rotary::new(100.0).apply(&crate::testing::constant(g, &[1, 3, 2, 4], &numbers)));
    for (row, (x, y)) in numbers.chunks(4).zip(got.chunks(4)).enumerate() {
        for pair in 0..2 {
            let angle = (row / 2) as f64 / 10f64.powi(pair as i32);
            let (re, im) = (x[pair], x[pair + 2]);
            let want = [re * angle.cos() - im * angle.sin(), re * angle.sin() + im * angle.cos()];
            assert_close(&[y[pair], y[pair + 2]], &want, 1e-14);
        }
    }
}

#[test]
fn gradients_are_difference_quotients() {
    let layer = MultiHeadAttention::new(2, 2).causal(true).rotary(Rotary::default());
    let x = |g: &GraphBuilder| g.param("x", f64([2, 3, 3]), constant(0.0));
    check_gradients(|g| layer.apply(&x(g)));
    check_gradients(|g| {
        let tokens = g.constant(value(bool_([2, 3]), &[1.0, 0.0, 1.0, 0.0, 0.0, 0.0]));
        let layer = MultiHeadAttention::new(1, 2).use_bias(false);
        layer.apply(&x(g).with_mask(&tokens))
    });
    check_gradients(|g| {
        let memory = g.param("memory", f64([2, 2, 2]), constant(0.0));
        MultiHeadAttention::new(2, 1).apply((&x(g), &memory))
    });
    check_gradients(|g| LearnedPositions::new(4).apply(&x(g)));
}

/// What all positions of a sequence of two samples give at once they give one by one, in `f64`: `whole` and `at`, of the position and the capacity, declare the two.
fn check_steps(whole: impl Fn(&Tensor, &Tensor) -> Tensor, at: impl Fn(&Tensor, &Tensor, &Tensor, usize) -> Tensor) {
    const LENGTH: usize = 5;
    let memory = |g: &GraphBuilder| g.input("memory", f64([2, 3, 4]));
    let mut whole = random_runner(&|g| whole(&g.input("x", f64([2, LENGTH, 4])), &memory(g)));
    let g = GraphBuilder::new("step");
    let position = g.input("position", i32([1]));
    g.output("y", &at(&g.input("x", f64([2, 1, 4])), &memory(&g), &position, LENGTH));
    let mut stepwise = Runner::new(&g.finish().unwrap());
    for (name, weights) in &whole.states {
        assert!(stepwise.states.insert(name.clone(), weights.clone()).is_some(), "{name}");
    }
    let (x, memory) = (random(1, 2 * LENGTH * 4), value(f64([2, 3, 4]), &random(2, 24)));
    let y = whole.step(&[("x", value(f64([2, LENGTH, 4]), &x)), ("memory", memory.clone())])["y"].to_f64_vec();
    let row = |t: &[f64], p: usize| [0, 1].map(|b| t[(b * LENGTH + p) * 4..][..4].to_vec()).concat();
    for p in 0..LENGTH {
        let inputs = [
            ("x", value(f64([2, 1, 4]), &row(&x, p))),
            ("memory", memory.clone()),
            ("position", value(i32([1]), &[p as f64])),
        ];
        assert_close(&stepwise.step(&inputs)["y"].to_f64_vec(), &row(&y, p), 1e-12);
    }
}

#[test]
fn blocks_of_decoders_with_shared_heads_and_relative_positions_go_step_by_step() {
    let across = |block: TransformerBlock| {
        check_steps(
            |x, memory| block.apply((x, memory)),
            |x, memory, position, capacity| block.apply_across_at(x, memory, position, capacity),
        );
    };
    across(TransformerBlock::new(2).causal(true));
    across(TransformerBlock::new(2).causal(true).rotary(Rotary::default()).key_value_heads(1));
    let shared = TransformerBlock::new(4).causal(true).key_value_heads(2);
    // The memory is of no use to these, but is an input of the graph.
    let also = |y: Tensor, memory: &Tensor| y + memory.sum() * 0.0;
    check_steps(
        |x, memory| also(shared.apply(x), memory),
        |x, memory, position, capacity| also(shared.apply_at(x, position, capacity), memory),
    );
    let bias = Arc::new(RelativePositionBias::new(2).buckets(4).max_distance(4).causal(true));
    let biased = MultiHeadAttention::new(2, 2).causal(true).relative_position_bias(&bias);
    check_steps(
        |x, memory| also(biased.apply(x), memory),
        |x, memory, position, capacity| also(biased.apply_at(x, position, capacity), memory),
    );
}

/// A step that takes one position of a sequence of two samples through a block, and one that takes all of them.
fn whole_and_stepwise(block: &TransformerBlock, length: usize) -> (Runner, Runner) {
    let positions = LearnedPositions::new(length);
    let whole = random_runner(&|g| block.apply(&positions.apply(&g.input("x", f64([2, length, 4])))));
    let g = GraphBuilder::new("step");
    let position = g.input("position", i32([1]));
    let x = positions.apply_at(&g.input("x", f64([2, 1, 4])), &position);
    g.output("y", &block.apply_at(&x, &position, length));
    let mut stepwise = Runner::new(&g.finish().unwrap());
    for (name, weights) in &whole.states {
        assert!(stepwise.states.insert(name.clone(), weights.clone()).is_some(), "{name}");
    }
    (whole, stepwise)
}

#[test]
fn steps_with_kept_keys_give_what_the_whole_sequence_gives() {
    let length = 5;
    let block = TransformerBlock::new(2).causal(true).rotary(Rotary::default());
    let (mut whole, mut stepwise) = whole_and_stepwise(&block, length);
    let at = |p: usize| value(i32([1]), &[p as f64]);
    // The second sequence starts over without clearing what the first one left.
    for (seed, length_now) in [(1, length), (2, length - 2)] {
        let x = random(seed, 2 * length * 4);
        let y = whole.step(&[("x", value(f64([2, length, 4]), &x))])["y"].to_f64_vec();
        let row = |t: &[f64], p: usize| [0, 1].map(|b| t[(b * length + p) * 4..][..4].to_vec()).concat();
        for p in 0..length_now {
            let out = stepwise.step(&[("x", value(f64([2, 1, 4]), &row(&x, p))), ("position", at(p))]);
            assert_close(&out["y"].to_f64_vec(), &row(&y, p), 1e-12);
        }
    }
    let error = stepwise.try_step(&[("x", value(f64([2, 1, 4]), &[0.0; 8])), ("position", at(length))]).unwrap_err();
    assert!(error.contains("index 5 is out of range"), "{error}");
}

#[test]
fn broken_rules_are_reported() {
    let g = GraphBuilder::new("test");
    let x = g.input("x", f64([2, 4, 6]));
    let q = g.input("q", f64([2, 4, 3, 2]));
    let _ = MultiHeadAttention::new(0, 2).apply(&x);
    let _ = MultiHeadAttention::new(3, 1).rotary(Rotary::default()).apply(&x);
    let _ = attention(&q, &g.input("k", f64([2, 5, 3, 2])), &q, &AttentionMask::none());
    let _ = attention_weights(&q, &g.input("l", f64([2, 5, 3, 2])), &AttentionMask::causal());
    let _ = attention_weights(&q, &q, &AttentionMask::none().padding(&g.input("m", bool_([2, 5]))));
    let _ = LearnedPositions::new(3).apply(&x);
    let _ = TransformerBlock::new(4).apply(&x);
    let texts: Vec<String> = g.finish().unwrap_err().diagnostics.iter().map(ToString::to_string).collect();
    let wants = [
        "the number of heads and their size must be at least 1",
        "wanted are floats [batch, length, heads, size] of even size, and a base above 1",
        "keys and values must be equally many, not 5 and 4",
        "a causal mask needs as many queries as keys, not 4 and 5",
        "the padding mask must be bool[2, 4], not bool[2,5]",
        "the sequence's length 4 is over the context 3",
        "4 heads must divide the width 6",
    ];
    for want in wants {
        assert!(texts.iter().any(|text| text.ends_with(want)), "{want}: {texts:#?}");
    }
}

/// Results and gradients by all parameters of a layer's weighted sum, from random parameters; runs by the reference interpreter.
fn results(declare: &dyn Fn(&GraphBuilder) -> Tensor) -> Vec<f64> {
    let mut runner = random_runner(&|g| {
        let y = declare(g);
        let dims = y.shape().unwrap().dims().to_vec();
        let loss = (&y * crate::testing::constant(g, &dims, &random(7, dims.iter().product()))).sum();
        for (name, parameter) in g.parameters() {
            g.output(&format!("d {name}"), &g.gradients(&loss, &[&parameter])[0]);
        }
        y
    });
    runner.step(&[]).values().flat_map(|v| v.to_f64_vec()).collect()
}

#[test]
fn blocks_of_queries_give_what_all_scores_at_once_give() {
    let tokens = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    let masked = |layer: &MultiHeadAttention, g: &GraphBuilder| {
        layer.apply(&input(g).with_mask(&g.constant(value(bool_([2, 4]), &tokens))))
    };
    let across = |layer: &MultiHeadAttention, g: &GraphBuilder| {
        layer.apply((&input(g), &g.param("memory", f64([2, 5, 3]), constant(0.0))))
    };
    let plain = MultiHeadAttention::new(3, 2);
    // Blocks that divide the queries, one that doesn't, and one larger than all of them.
    for rows in [1, 2, 3, 9] {
        let blocked = plain.clone().block(rows);
        for causal in [false, true] {
            let [plain, blocked] = [&plain, &blocked].map(|layer| layer.clone().causal(causal));
            assert_close(&results(&|g| blocked.apply(&input(g))), &results(&|g| plain.apply(&input(g))), 1e-12);
            assert_close(&results(&|g| masked(&blocked, g)), &results(&|g| masked(&plain, g)), 1e-12);
        }
        assert_close(&results(&|g| across(&blocked, g)), &results(&|g| across(&plain, g)), 1e-12);
    }
}

#[test]
fn gradients_through_blocks_are_difference_quotients() {
    check_gradients(|g| MultiHeadAttention::new(2, 3).causal(true).block(3).apply(&input(g)));
}

/// Attention to itself of 9 positions under a causal mask, cut into these groups, or all scores at once.
fn grouped(g: &GraphBuilder, groups: &[usize], padded: bool) -> Tensor {
    let [q, k, v] = ["q", "k", "v"].map(|name| g.param(name, f64([2, 9, 2, 3]), constant(0.0)));
    let tokens: Vec<f64> = (0..18).map(|i| f64::from(u8::from(i > 9 || i % 3 == 1))).collect();
    let mask = AttentionMask::causal();
    let mask = if padded { mask.padding(&g.constant(value(bool_([2, 9]), &tokens))) } else { mask };
    let ends: Vec<_> = groups.windows(2).map(|ends| ends[0]..ends[1]).collect();
    causal::attend([&q, &k, &v], &mask, &crate::nn::layer::Dropout::new(0.0), &ends)
}

#[test]
fn groups_of_queries_see_what_all_scores_at_once_see() {
    for padded in [false, true] {
        let whole = results(&|g| grouped(g, &[0, 9], padded));
        for groups in [&[0, 4, 9][..], &[0, 1, 2, 8, 9], &[0, 3, 6, 9]] {
            assert_close(&results(&|g| grouped(g, groups, padded)), &whole, 1e-12);
        }
    }
    check_gradients(|g| grouped(g, &[0, 5, 7, 9], false));
}

/// In any of the two, a number that only later queries may see.
#[test]
fn no_query_of_an_earlier_group_sees_a_later_key_or_value() {
    let length = 130;
    for hidden in [f64::NAN, f64::INFINITY] {
        let got = crate::testing::eval(|g| {
            let ones = g.zeros(f64([1, length, 1, 2])) + 1.0;
            let mut last = vec![1.0; length * 2];
            last[length * 2 - 1] = hidden;
            let last = crate::testing::constant(g, &[1, length, 1, 2], &last);
            attention(&ones, &last, &last, &AttentionMask::causal())
        });
        let first = causal::groups(length)[0].len();
        assert!(got[..first * 2].iter().all(|&v| v == 1.0), "{got:?}");
        assert!(!got[length * 2 - 1].is_finite());
    }
}

/// Each head and each block drops other weights, the rate is met, and what is kept is scaled.
#[test]
fn blocks_drop_weights_of_their_own() {
    let (heads, length) = (4, 16);
    let got = crate::testing::eval(|g| {
        g.set_training(true);
        // All scores are equal, and the values make up a unit matrix: results are the weights themselves.
        let q = g.zeros(f64([1, length, heads, 1]));
        let unit: Vec<f64> =
            (0..length * heads * length).map(|i| f64::from(u8::from(i / (heads * length) == i % length))).collect();
        let v = crate::testing::constant(g, &[1, length, heads, length], &unit);
        function::attend([&q, &q, &v], &AttentionMask::none(), &crate::nn::layer::Dropout::new(0.25), Some(4))
    });
    let rows: Vec<&[f64]> = got.chunks(length).collect();
    let scaled = 1.0 / (length as f64 * 0.75);
    assert!(got.iter().all(|&w| w == 0.0 || (w - scaled).abs() < 1e-12), "{got:?}");
    let kept = got.iter().filter(|&&w| w > 0.0).count() as f64 / got.len() as f64;
    assert!((kept - 0.75).abs() < 0.05, "{kept}");
    let distinct: std::collections::BTreeSet<Vec<bool>> =
        rows.iter().map(|row| row.iter().map(|&w| w > 0.0).collect()).collect();
    // Of 64 rows of 16 weights some may agree by chance, whole blocks of 4 not.
    assert!(distinct.len() > 56, "{}", distinct.len());
}
