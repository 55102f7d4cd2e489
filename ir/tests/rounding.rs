//! How far right evaluations of a graph may be apart, by trials: little where a graph is well conditioned, much where it isn't, nothing where nothing rounds.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use ir::eval::rounding::{Moved, TRIALS, bound, plain, trial};
use ir::op::source::Full;
use ir::{DType, Graph, Op, Scalar, Shape, TensorType, Value};
use random_graphs::{Limits, random_graph, random_values};
use std::collections::BTreeMap;

/// The plain outputs of a graph, and how far each element may be from them.
fn bounds(
    graph: &Graph,
    inputs: &BTreeMap<String, Value>,
    states: &BTreeMap<String, Value>,
) -> (BTreeMap<String, Value>, BTreeMap<String, Vec<f64>>) {
    let (outcome, decisions) = plain(graph, inputs, states).unwrap();
    let trials: Vec<BTreeMap<String, Value>> = (0..TRIALS)
        .map(|number| trial(graph, inputs, states, &decisions, number, Moved::NearMiddle).unwrap().outputs)
        .collect();
    let of = |(name, value): (&String, &Value)| {
        (name.clone(), bound(value, &trials.iter().map(|trial| &trial[name]).collect::<Vec<_>>()))
    };
    let bounds = outcome.outputs.iter().map(of).collect();
    (outcome.outputs, bounds)
}

/// The bounds of the output "y" of a graph of one input, "x".
fn bounds_of(nodes: &str, dtype: DType, x: &[f64]) -> Vec<f64> {
    let graph = Graph::parse(&format!("graph \"g\" {{\n%0 = input {{name=\"x\"}} : {dtype}[{}]\n{nodes}\n}}", x.len()))
        .unwrap();
    let ty = TensorType::new(dtype, Shape::new([x.len()]).unwrap());
    let x = Value::from_fn(ty, |i| Scalar::from_f64(x[i], dtype));
    bounds(&graph, &BTreeMap::from([("x".into(), x)]), &BTreeMap::new()).1.remove("y").unwrap()
}

#[test]
fn what_does_not_round_has_no_bound_but_equality() {
    let nodes = "%1 = neg %0 : f32[4]\n%2 = max %0, %1 : f32[4]\n%3 = reverse %2 {axes=[0]} : f32[4]\n%4 = floor %3 : f32[4]\noutput \"y\" = %4";
    assert_eq!(bounds_of(nodes, DType::F32, &[0.3, -2.5, 7.0, -0.0]), [0.0; 4]);
}

#[test]
fn what_cancels_has_few_digits() {
    let sums = |dtype: DType| {
        let nodes = format!(
            "%1 = exp %0 : {dtype}[2]\n%2 = add %1, %0 : {dtype}[2]\n%3 = sub %2, %1 : {dtype}[2]\noutput \"y\" = %3"
        );
        bounds_of(&nodes, dtype, &[0.0, 10.0])
    };
    // exp(0) and exp(10), a few units in the last place of each.
    for (dtype, unit) in [(DType::F32, f64::from(f32::EPSILON)), (DType::F64, f64::EPSILON)] {
        let [near, far] = sums(dtype)[..] else { panic!() };
        assert!(near < 128.0 * unit && far > 1e4 * unit && far < 1e7 * unit, "{near:e}, {far:e}");
    }
}

/// The rounding of a sum is relative to its terms, also where they cancel to nothing.
#[test]
fn sums_round_as_their_terms_do() {
    let nodes = "%1 = sin %0 : f32[3]\n%2 = neg %1 : f32[3]\n%3 = concat %1, %2 {axis=0} : f32[6]\n%4 = reduce_sum %3 {axes=[0]} : f32[]\noutput \"y\" = %4";
    let bound = bounds_of(nodes, DType::F32, &[1.0, 2.0, 3.0])[0];
    assert!((1e-7..1e-4).contains(&bound), "{bound:e}");
}

#[test]
fn a_step_within_reach_of_rounding_is_undetermined_and_no_other() {
    let nodes = "%1 = log %0 : f32[3]\n%2 = exp %1 : f32[3]\n%3 = floor %2 : f32[3]\noutput \"y\" = %3";
    let found = bounds_of(nodes, DType::F32, &[2.5, 3.0, 3.01]);
    assert!(found[0] == 0.0 && found[1] >= 1.0 && found[2] == 0.0, "{found:?}");
    let nodes = "%1 = log %0 : f32[3]\n%2 = exp %1 : f32[3]\n%3 = lt %2, %0 : bool[3]\noutput \"y\" = %3";
    assert_eq!(bounds_of(nodes, DType::F32, &[2.5, 3.0, 3.01]), [f64::INFINITY; 3]);
}

/// Where all are equal, all are largest; where anything is moved, one is. What the tie's own way rounds shows in trials that keep it.
#[test]
fn a_tie_is_kept_by_some_trials() {
    let nodes = "%1 = div %0, %0 : f64[4]\n%2 = reduce_max %1 {axes=[0]} : f64[]\n%3 = broadcast %2 {axes=[]} : f64[4]\n%4 = eq %1, %3 : bool[4]\n\
        %5 = exp %0 : f64[4]\n%6 = full {value=(0.0)} : f64[4]\n%7 = select %4, %5, %6 : f64[4]\n%8 = div %7, %0 : f64[4]\n%9 = sub %7, %7 : f64[4]\n\
        %10 = add %9, %9 : f64[4]\noutput \"y\" = %10";
    for bound in bounds_of(nodes, DType::F64, &[1.0, 3.0, 5.0, 7.0]) {
        assert!(bound > 0.0, "a difference of equals rounds as they do");
    }
}

/// Halves are computed in `f32`: they differ only where that lies between two of them.
#[test]
fn halves_differ_where_f32_lies_between_them_alone() {
    for dtype in [DType::Bf16, DType::F16] {
        let nodes = format!("%1 = tanh %0 : {dtype}[200]\n%2 = mul %1, %1 : {dtype}[200]\noutput \"y\" = %2");
        let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 64.0).collect();
        let moved = bounds_of(&nodes, dtype, &x).into_iter().filter(|bound| *bound > 0.0).count();
        assert!(moved < 10, "{moved} of 200 {dtype}");
    }
}

/// A sum of sums counts as one sum, which is rounded to 16 bits at its end; what was rounded on the way had no bound.
#[test]
fn a_sum_of_sums_of_halves_may_be_rounded_on_the_way_or_not() {
    let nodes = "%1 = reshape %0 : bf16[2,5]\n%2 = reduce_sum %1 {axes=[1]} : bf16[2]\n%3 = neg %2 : bf16[2]\n%4 = reduce_sum %3 {axes=[0]} : bf16[]\n\
        output \"y\" = %4";
    let x = [
        -1.3203125,
        -1.75,
        -1.1328125,
        -0.625,
        -1.1796875,
        -0.1337890625,
        -0.0576171875,
        -0.0380859375,
        -0.365234375,
        -1.1015625,
    ];
    assert!(bounds_of(nodes, DType::Bf16, &x)[0] >= 0.03125);
    // Multiples of 1/8 are added up without rounding.
    let exact: Vec<f64> = (0..10).map(|i| f64::from(i) / 8.0).collect();
    assert_eq!(bounds_of(nodes, DType::Bf16, &exact), [0.0]);
}

/// Constants of random graphs off by 1/4096, or 2048 units in the last place, which a tolerance of 4096 units doesn't see: nearly all that bring an output 64 units
/// from where it was bring it further than rounding may.
#[test]
fn a_wrong_constant_is_seen_in_random_graphs() {
    let (mut seen, mut reached, mut units) = (0, 0, vec![]);
    for seed in 0..400 {
        let limits = Limits { dtypes: vec![DType::F32, DType::F32, DType::I32, DType::Bool], ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let (inputs, states) = random_values(&graph, seed);
        let (values, bounds) = bounds(&graph, &inputs, &states);
        let unit = f64::from(f32::EPSILON);
        units.extend(values.iter().filter(|(_, value)| value.ty().dtype.is_float()).flat_map(|(name, value)| {
            bounds[name]
                .iter()
                .zip(value.to_f64_vec())
                .map(|(bound, x)| bound / (unit * x.abs().max(1.0)))
                .collect::<Vec<_>>()
        }));
        let live = graph.live();
        let full = |id: &ir::NodeId| matches!(graph.op(*id), Op::Full(full) if full.value.dtype() == DType::F32 && full.value.as_f64() != 0.0);
        let Some(id) = graph.ids().filter(|id| live.contains(id)).find(full) else { continue };
        let Op::Full(Full { value, shape }) = graph.op(id).clone() else { unreachable!() };
        let mut wrong = graph.clone();
        let value = Scalar::F32((value.as_f64() * (1.0 + 1.0 / 4096.0)) as f32);
        let other = wrong.add(Op::Full(Full { value, shape }), &[], None).unwrap();
        wrong.replace_uses(id, other);
        let found = ir::eval::run(&wrong, &inputs, &states).unwrap().outputs;
        let differ = |far: &dyn Fn(f64, f64, f64) -> bool| {
            values.keys().any(|name| {
                let pairs = values[name].to_f64_vec().into_iter().zip(found[name].to_f64_vec());
                pairs.zip(&bounds[name]).any(|((a, b), bound)| far((a - b).abs(), a.abs().max(1.0), *bound))
            })
        };
        if differ(&|distance, size, bound| distance > 64.0 * unit * size && bound.is_finite()) {
            reached += 1;
            seen += usize::from(differ(&|distance, _, bound| distance > bound));
        }
    }
    assert!(reached > 40 && seen * 10 >= reached * 9, "{seen} of {reached}");
    // Elements of results, in units in the last place of the larger of 1 and the element, as tolerances are given.
    units.sort_by(f64::total_cmp);
    let [half, most] = [2, 10].map(|part| units[units.len() - units.len() / part]);
    assert!(half < 64.0 && most < 1024.0, "half of the bounds are above {half}, a tenth above {most}");
}
