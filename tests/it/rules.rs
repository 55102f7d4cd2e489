//! Every rule of `simplify`, alone, on numbers at the edges: next to overflow and underflow, infinities, NaN and zeros of both signs, in every type that
//! its file test makes sense in. What may differ afterwards is what the rule says it changes.

use crate::oracle::{Agreement, NamedValues, difference, evaluate};
use ir::{DType, Graph, Scalar, TensorType, Value};
use kernel::Target;
use passes::simplify::{self, Changes, Rewrites};
use passes::{PassContext, PassFn};
use random_graphs::Rng;
use std::path::Path;

/// The numbers of a type that something can go wrong at; `f64` holds them all.
fn edges(dtype: DType) -> Vec<f64> {
    let (max, normal, subnormal) = match dtype {
        DType::F64 => (f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1)),
        DType::F32 => (f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), f64::from(f32::from_bits(1))),
        DType::Bf16 => (f64::from(f32::from_bits(0x7f7f_0000)), f64::from(f32::MIN_POSITIVE), 2f64.powi(-133)),
        DType::F16 => (65504.0, 2f64.powi(-14), 2f64.powi(-24)),
        _ => return vec![0.0, 1.0, 2.0, 5.0, 255.0, -1.0, -128.0, f64::from(i32::MIN), f64::from(i32::MAX)],
    };
    vec![
        0.0,
        subnormal,
        3.0 * subnormal,
        normal,
        normal / 4.0,
        0.75,
        1.0,
        3.0,
        max.sqrt(),
        max / 8.0,
        max / 2.0,
        max,
        f64::INFINITY,
    ]
}

/// Which numbers a run has.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sequence {
    /// All edges, of both signs, and NaN.
    All,
    /// Those of one sign, so that sums have no choice whether to overflow; now and then NaN.
    OneSign(f64),
    /// Those of one sign of which products and their sums don't overflow.
    Small(f64),
}

fn random_value(ty: &TensorType, numbers: Sequence, rng: &mut Rng) -> Value {
    let edges = edges(ty.dtype);
    // Some tensors without infinities, and some of few numbers, so that they meet themselves.
    let end = if ty.dtype.is_float() { edges.len() - rng.below(3).min(2) } else { edges.len() };
    let small = matches!(numbers, Sequence::Small(_));
    let end = if small { edges.iter().filter(|&&x| x <= 3.0).count() } else { end };
    let nan = !small && rng.one_in(3);
    Value::from_fn(ty.clone(), |_| {
        if !ty.dtype.is_float() {
            let number = if ty.dtype == DType::Bool { rng.below(2) as f64 } else { edges[rng.below(end)] };
            return if ty.dtype == DType::Bool {
                Scalar::Bool(number != 0.0)
            } else {
                Scalar::from_i64(number as i64, ty.dtype)
            };
        }
        let magnitude = edges[rng.below(end)];
        let number = match numbers {
            _ if nan && rng.one_in(8) => f64::NAN,
            Sequence::All => {
                if rng.one_in(2) {
                    -magnitude
                } else {
                    magnitude
                }
            }
            Sequence::OneSign(sign) | Sequence::Small(sign) => sign * magnitude,
        };
        Scalar::from_f64(number, ty.dtype)
    })
}

fn random_ports(graph: &Graph, numbers: Sequence, seed: u64) -> NamedValues {
    let mut rng = Rng::new(seed);
    let inputs = graph.inputs().map(|(id, port)| (port.name.clone(), id));
    let states = graph.states().map(|(id, port)| (port.name.clone(), id));
    inputs.chain(states).map(|(name, id)| (name, random_value(graph.ty(id), numbers, &mut rng))).collect()
}

/// The first result that has another kind of number, or is further away than sums of so many roundings are.
fn difference_in_rounding(a: &NamedValues, b: &NamedValues, ulps: f64) -> Option<String> {
    for (name, (x, y)) in a.iter().map(|(name, x)| (name, (x, &b[name]))) {
        for i in 0..x.data().len() {
            let (p, q) = (x.get(i), y.get(i));
            let (pf, qf) = (p.as_f64(), q.as_f64());
            let unit = match p.dtype() {
                DType::F64 => f64::EPSILON,
                DType::F32 => f64::from(f32::EPSILON),
                DType::Bf16 => 1.0 / 128.0,
                _ => 1.0 / 1024.0,
            };
            let tiny = edges(p.dtype())[1];
            let near = pf == qf
                || pf.is_nan() && qf.is_nan()
                || (pf - qf).abs() <= ulps * (unit * pf.abs().max(qf.abs())).max(tiny);
            if !(if p.dtype().is_float() { near } else { p == q }) {
                return Some(format!("{name}[{i}]: {p} against {q}"));
            }
        }
    }
    None
}

/// The numbers on which a change that changes so much must do no more.
fn kinds(changes: Changes) -> &'static [Sequence] {
    match changes {
        Changes::Association => &[Sequence::OneSign(1.0), Sequence::OneSign(-1.0)],
        _ => &[Sequence::All],
    }
}

/// Compares what a graph computes before and after a change.
fn check(changes: Changes, kinds: &[Sequence], before: &Graph, after: &Graph) -> Result<(), String> {
    for &numbers in kinds {
        for seed in 0..60 {
            let ports = random_ports(before, numbers, seed);
            let Ok(expected) = evaluate(before, &ports) else { continue };
            let found = evaluate(after, &ports).map_err(|e| e.to_string())?;
            let difference = match changes {
                Changes::Nothing => difference(&expected, &found, Agreement::Bits),
                Changes::SignOfZero => difference_in_rounding(&expected, &found, 0.0),
                Changes::Association | Changes::Error => difference_in_rounding(&expected, &found, 4.0),
            };
            if let Some(difference) = difference {
                return Err(format!("{numbers:?}, seed {seed}: {difference}\n{ports:?}\n{before}\nbecame\n{after}"));
            }
        }
    }
    Ok(())
}

#[test]
fn rules_change_no_more_than_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/simplify");
    let mut faults = vec![];
    for rule in simplify::rules() {
        let text = std::fs::read_to_string(folder.join(format!("{}.ir", rule.name))).unwrap();
        let mut fired = 0;
        for dtype in ["f32", "f64", "bf16", "f16", "i64", "i32", "u8"] {
            // As it stands, and with another type for that of most cases; constants of some kinds have no other spelling.
            let Ok(before) = Graph::parse(&text.replace("f32", dtype)) else { continue };
            let mut after = before.clone();
            let mut rewrites = Rewrites::default();
            simplify::apply(&mut after, &[rule], &mut rewrites).unwrap();
            if rewrites.fired.is_empty() {
                continue;
            }
            fired += 1;
            faults.extend(
                check(rule.changes, kinds(rule.changes), &before, &after)
                    .err()
                    .map(|e| format!("`{}` in {dtype}: {e}", rule.name)),
            );
        }
        if fired == 0 {
            faults.push(format!("`{}` doesn't fire in its file test without other rules", rule.name));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

/// The other passes on graphs, on the graphs of their file tests: those that only move, merge or evaluate nodes keep every bit, those that rewrite sums and
/// products into others may associate them otherwise. Padding that becomes zeros takes
/// part in products: with infinite factors they are NaN.
#[test]
fn passes_keep_numbers_at_the_edges() {
    let mut faults = vec![];
    let (all, sums) = (kinds(Changes::Nothing), kinds(Changes::Association));
    for (name, changes, kinds, least) in [
        ("fold", Changes::Nothing, all, 10),
        ("cse", Changes::Nothing, all, 5),
        ("dce", Changes::Nothing, all, 4),
        ("hoist", Changes::Association, sums, 5),
        ("legalize", Changes::Association, &[Sequence::Small(1.0), Sequence::Small(-1.0)], 20),
    ] {
        let pass = passes::pipeline::find(name).unwrap();
        let PassFn::Graph(run) = pass.run else { panic!("{name} is a pass on graphs") };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(name);
        let mut compared = 0;
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "ir") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for dtype in ["f32", "f64", "bf16", "f16"] {
                let Ok(before) = Graph::parse(&text.replace("f32", dtype)) else { continue };
                // The interpreter takes minutes for the others.
                if before.ids().any(|id| before.ty(id).shape.numel() > 1024) {
                    continue;
                }
                let mut after = before.clone();
                run(&mut after, &PassContext::new(Target::avx2())).unwrap();
                let fault = check(changes, kinds, &before, &after).err();
                compared += 1;
                faults.extend(fault.map(|e| format!("{} in {dtype}: {e}", file.display())));
            }
        }
        assert!(compared >= least, "only {compared} graphs of {name} were compared");
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

/// Factors stay in their sums: four quarters of a number next to overflow are that number, and nothing of a row that overflows is nothing.
#[test]
fn a_factor_within_a_sum_keeps_it_finite() {
    let graph = Graph::parse(
        "graph \"scaled\" {
           %0 = input {name=\"x\"} : f32[2,4]
           %1 = input {name=\"m\"} : f32[2]
           %2 = full {value=(0.25)} : f32[2,4]
           %3 = mul %0, %2 : f32[2,4]
           %4 = reduce_sum %3 {axes=[1]} : f32[2]
           %5 = broadcast %1 {axes=[0]} : f32[2,4]
           %6 = mul %0, %5 : f32[2,4]
           %7 = reduce_sum %6 {axes=[1]} : f32[2]
           output \"quarter\" = %4
           output \"masked\" = %7
         }",
    )
    .unwrap();
    let value = |dims: &[usize], elements: &[f32]| {
        let ty = TensorType::new(DType::F32, ir::Shape::new(dims).unwrap());
        Value::from_fn(ty, |i| Scalar::F32(elements[i]))
    };
    let x = value(&[2, 4], &[3e38, 3e38, 3e38, 3e38, 1.0, 2.0, 3.0, 4.0]);
    let ports = NamedValues::from([("x".to_string(), x), ("m".to_string(), value(&[2], &[0.0, 1.0]))]);
    let found = crate::machine::step(&mut crate::machine::load(&graph, 1), &graph, &ports).unwrap();
    let quarter = found["quarter"].to_f64_vec();
    assert!((quarter[0] / f64::from(3e38f32) - 1.0).abs() < 1e-6 && quarter[1] == 2.5, "{quarter:?}");
    assert_eq!(found["masked"].to_f64_vec(), [0.0, 10.0]);
}
