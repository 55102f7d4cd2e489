//! Gradients of attention where one key outweighs the others: the parts of the softmax's gradient cancel, and must do so to the last bit.

use gradc::compile::CompileOptions;
use gradc::data::array;
use gradc::dsl::{GraphBuilder, f32};
use gradc::nn::{AttentionMask, attention};

const SIZE: usize = 16;

/// Numbers that look random, between -1 and 1.
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The gradients by queries and keys were 1.6e-6, the rounding of two sums that should be equal, where less than 1e-12 is right.
#[test]
fn a_saturated_softmax_leaves_no_noise_in_the_gradients_of_queries_and_keys() {
    // All scores at once, and in blocks of queries.
    for (length, causal) in [(96, false), (96, true), (1040, false)] {
        let g = GraphBuilder::new("attention");
        let [q, k, v, dy] = ["q", "k", "v", "dy"].map(|name| g.input(name, f32([1, length, 1, SIZE])));
        let mask = if causal { AttentionMask::causal() } else { AttentionMask::none() };
        let y = attention(&q, &k, &v, &mask);
        for (name, gradient) in ["dq", "dk"].iter().zip(g.gradients(&(&y * &dy).sum(), &[&q, &k])) {
            g.output(name, &gradient);
        }
        g.output("y", &y);
        let mut program = g.finish().unwrap().compile(&CompileOptions::threads(2)).unwrap();

        // A key of ones and minus ones by its number; the query that looks for it has a score that is 50 above all others.
        let sign = |i: usize, d: usize| if d < 11 && (i >> d) & 1 == 1 { -1.0f32 } else { 1.0 };
        let keys: Vec<f32> = (0..length * SIZE).map(|at| sign(at / SIZE, at % SIZE)).collect();
        let queries: Vec<f32> = keys.iter().map(|key| 100.0 * key).collect();
        let data = |values| array([1, length, 1, SIZE], values).unwrap();
        let (queries, keys, values) = (data(queries), data(keys), noise(length * SIZE, 1));
        let (values, dy) = (data(values), data(noise(length * SIZE, 2)));
        let ports = [("q", &queries), ("k", &keys), ("v", &values), ("dy", &dy)];
        let found = program.run(ports).unwrap();
        assert_eq!(found["y"].to_f64_vec(), values.to_f64_vec(), "each query takes the value of its key");
        for name in ["dq", "dk"] {
            let largest = found[name].to_f64_vec().iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            assert!(largest < 1e-12, "{name}, {length}, causal {causal}: {largest}");
        }
    }
}
