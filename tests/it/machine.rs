//! Random graphs through the whole pipeline to machine code: what runs is what the reference interpreter computes.
//!
//! [`crate::seeds`] says how to make a long run of it.

use crate::bounds::difference_beyond_rounding;
use crate::differential::{f64_limits, values, with_gradients};
use crate::least::expect_none;
use crate::oracle::{Agreement, NamedValues, difference, evaluate};
use crate::pipeline::first_fault;
use crate::seeds::{check_each, check_most};
use gradc::compile::CompileOptions;
use ir::op::source::Input;
use ir::{DType, Data, Graph, Op, Scalar, ScalarOp, Shape, TensorType, Value};
use kernel::{Program, Target};
use passes::{PassContext, RunOptions, compile};
use random_graphs::{Limits, random_graph};
use runtime::{Backend, Element, Executable, LoadOptions, PortError};

/// The machine that programs are compiled for by default.
pub(crate) fn host() -> Target {
    CompileOptions::default().target_or_host().unwrap()
}

/// This machine, held to each of its instruction sets in turn whose sums of products round once, the least first.
pub(crate) fn machines() -> Vec<Target> {
    runtime::host_target().unwrap().limited_to_each().into_iter().filter(Target::fma).collect()
}

/// The compiled program of a graph.
pub(crate) fn load(graph: &Graph, threads: usize) -> Executable {
    load_on(graph, threads, host())
}

/// What the pipeline makes of a graph.
fn program_for(graph: &Graph, target: &Target) -> Program {
    match compile(graph.clone(), &PassContext::new(target.clone()), &RunOptions::default()) {
        Ok(outcome) => outcome.module.program().unwrap().clone(),
        Err(e) => panic!("{e}\non\n{graph}"),
    }
}

fn load_on(graph: &Graph, threads: usize, target: Target) -> Executable {
    let program = program_for(graph, &target);
    let options = LoadOptions { threads, verify_code: true, dump: false, target: Some(target) };
    match Executable::load(program.clone(), &options) {
        Ok(executable) => executable,
        Err(e) => panic!("{e}\non\n{graph}\n{program}"),
    }
}

fn write(executable: &mut Executable, name: &str, value: &Value, is_state: bool) {
    fn put<T: Element>(exe: &mut Executable, name: &str, values: &[T], is_state: bool) -> Result<(), PortError> {
        if is_state { exe.write_state(name, values) } else { exe.write_input(name, values) }
    }
    match value.data() {
        Data::F32(v) => put(executable, name, v, is_state),
        Data::F64(v) => put(executable, name, v, is_state),
        Data::I64(v) => put(executable, name, v, is_state),
        Data::I32(v) => put(executable, name, v, is_state),
        Data::I16(v) => put(executable, name, v, is_state),
        Data::I8(v) => put(executable, name, v, is_state),
        Data::U64(v) => put(executable, name, v, is_state),
        Data::U32(v) => put(executable, name, v, is_state),
        Data::U16(v) => put(executable, name, v, is_state),
        Data::U8(v) => put(executable, name, v, is_state),
        Data::Bool(v) => put(executable, name, &v.iter().map(|&b| u8::from(b)).collect::<Vec<u8>>(), is_state),
        data @ (Data::Bf16(_) | Data::F16(_)) => {
            let bytes = data.to_bytes();
            let bits: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
            put(executable, name, &bits, is_state)
        }
    }
    .unwrap();
}

fn read(executable: &Executable, name: &str, ty: &TensorType, is_state: bool) -> Value {
    fn get<'e, T: Element>(exe: &'e Executable, name: &str, is_state: bool) -> &'e [T] {
        if is_state { exe.state(name) } else { exe.output(name) }.unwrap()
    }
    let data = match ty.dtype {
        DType::F32 => Data::F32(get(executable, name, is_state).to_vec()),
        DType::F64 => Data::F64(get(executable, name, is_state).to_vec()),
        DType::I64 => Data::I64(get(executable, name, is_state).to_vec()),
        DType::I32 => Data::I32(get(executable, name, is_state).to_vec()),
        DType::I16 => Data::I16(get(executable, name, is_state).to_vec()),
        DType::I8 => Data::I8(get(executable, name, is_state).to_vec()),
        DType::U64 => Data::U64(get(executable, name, is_state).to_vec()),
        DType::U32 => Data::U32(get(executable, name, is_state).to_vec()),
        DType::U16 => Data::U16(get(executable, name, is_state).to_vec()),
        DType::U8 => Data::U8(get(executable, name, is_state).to_vec()),
        DType::Bool => Data::Bool(get::<u8>(executable, name, is_state).iter().map(|&b| b != 0).collect()),
        DType::Bf16 | DType::F16 => {
            let bits = get::<u16>(executable, name, is_state);
            Data::from_bytes(ty.dtype, &bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>())
        }
    };
    Value::new(ty.clone(), data).unwrap()
}

/// Runs one step on the given values; outputs by name, updates as `name'`.
pub(crate) fn step(
    executable: &mut Executable,
    graph: &Graph,
    ports: &NamedValues,
) -> Result<NamedValues, runtime::StepError> {
    for (_, port) in graph.inputs() {
        write(executable, &port.name, &ports[&port.name], false);
    }
    for (_, port) in graph.states() {
        write(executable, &port.name, &ports[&port.name], true);
    }
    executable.step()?;
    let outputs = graph.outputs().iter().map(|(n, id)| (n.clone(), read(executable, n, graph.ty(*id), false)));
    let states = graph.states().map(|(_, s)| (format!("{}'", s.name), read(executable, &s.name, &s.ty, true)));
    Ok(outputs.chain(states).collect())
}

#[test]
fn machine_code_computes_what_the_interpreter_does() {
    check_most(0, 150, 50, |seed| {
        let limits = Limits { steps: 2 + (seed % 30) as usize, ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let ports = values(&graph, seed);
        expect_none(seed, &graph, &ports, &what_runs_is_wrong);
        evaluate(&graph, &ports).is_ok()
    });
}

/// What machine code does that the interpreter doesn't.
pub(crate) fn what_runs_is_wrong(graph: &Graph, ports: &NamedValues) -> Option<String> {
    let found = step(&mut load(graph, 1), graph, ports);
    match (evaluate(graph, ports), found) {
        (Ok(expected), Ok(found)) => difference_beyond_rounding(graph, ports, &expected, &found),
        (Err(_), Ok(_)) => Some("the interpreter fails, the program doesn't".into()),
        (Ok(_), Err(e)) => Some(format!("the program fails, the interpreter doesn't: {e}")),
        (Err(_), Err(_)) => None,
    }
}

#[test]
fn threads_don_t_change_a_bit() {
    check_each(0, 20, |seed| {
        let limits = Limits { steps: 10, elements: 40_000, ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let ports = values(&graph, seed);
        let run = |threads: usize| step(&mut load(&graph, threads), &graph, &ports);
        let (Ok(one), Ok(two), Ok(four)) = (run(1), run(2), run(4)) else { return false };
        for other in [two, four] {
            if let Some(difference) = difference(&one, &other, Agreement::Bits) {
                panic!("seed {seed}: {difference}\n{graph}");
            }
        }
        true
    });
}

/// Loops with one were scalar, and left to the portable emitter.
#[test]
fn quotients_and_shifts_of_integers_are_vector_code() {
    for (dtype, op) in DType::ALL.into_iter().filter(|dtype| dtype.is_int()).flat_map(|dtype| {
        [ScalarOp::DIV, ScalarOp::REM, ScalarOp::SHL, ScalarOp::SHR, ScalarOp::LSHR]
            .into_iter()
            .map(move |op| (dtype, op))
    }) {
        for n in [1, 5, 16, 1003] {
            let mut graph = Graph::new("quotients");
            let ty = TensorType::new(dtype, Shape::new([n]).unwrap());
            let [x, y] = ["x", "y"]
                .map(|name| graph.add(Op::Input(Input { name: name.into(), ty: ty.clone() }), &[], None).unwrap());
            let result = graph.add(Op::Elementwise(op), &[x, y], None).unwrap();
            graph.set_output("z", result);
            let ports = NamedValues::from([
                (
                    "x".into(),
                    Value::from_fn(ty.clone(), |i| Scalar::from_i64(i as i64 * 2_654_435_761 - (1 << 31), dtype)),
                ),
                ("y".into(), Value::from_fn(ty, |i| Scalar::from_i64(i as i64 % 70 - 3, dtype))),
            ]);
            for target in machines() {
                let mut executable = load_on(&graph, 1, target.clone());
                let found = step(&mut executable, &graph, &ports).unwrap();
                let different = difference(&evaluate(&graph, &ports).unwrap(), &found, Agreement::Bits);
                assert_eq!(different, None, "{op} of {dtype}[{n}] on {target}");
                let divides = [ScalarOp::DIV, ScalarOp::REM].contains(&op);
                let has_quotients = !matches!(dtype, DType::I64 | DType::U64 | DType::U32);
                if target.is_wide() && (has_quotients || !divides) {
                    let kernel = &program_for(&graph, &target).kernels[0];
                    assert_eq!(executable.loaded().kernels()[0].emitter, Backend::X86, "{kernel}");
                    assert!(n < 16 || kernel.to_string().contains("load.x"), "{kernel}");
                }
            }
        }
    }
}

/// 16-bit floats, one type at a time, beside all others: computed in `f32` and rounded where the graph says, by every pass for each target, and by machine code.
#[test]
fn halves_are_rounded_as_the_interpreter_rounds_them() {
    check_most(6000, 150, 50, |seed| {
        let half = if seed % 2 == 0 { DType::Bf16 } else { DType::F16 };
        let dtypes =
            vec![half, half, half, DType::F32, DType::F64, DType::I32, DType::I64, DType::I8, DType::U8, DType::Bool];
        let graph = random_graph(seed, &Limits { steps: 2 + (seed % 20) as usize, dtypes, ..Limits::default() });
        let ports = values(&graph, seed);
        let target = [Target::baseline(), Target::avx2(), Target::avx512()][seed as usize / 2 % 3].clone();
        expect_none(seed, &graph, &ports, &|graph, ports| {
            let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(graph, ports, a, b);
            let fault = first_fault(&target.to_string(), graph, ports, &target, &same);
            fault.err().or_else(|| what_runs_is_wrong(graph, ports))
        });
        evaluate(&graph, &ports).is_ok() && graph.ids().any(|id| graph.ty(id).dtype == half)
    });
}

/// All element types in one graph, casts from each to each among them, small tensors and such that vectors and threads share.
#[test]
fn all_element_types_at_once_become_machine_code() {
    check_most(7000, 100, 50, |seed| {
        let elements = [128, 128, 5000][seed as usize % 3];
        let limits =
            Limits { steps: 4 + (seed % 25) as usize, elements, dtypes: DType::ALL.to_vec(), ..Limits::default() };
        let graph = random_graph(seed, &limits);
        let ports = values(&graph, seed);
        expect_none(seed, &graph, &ports, &|graph, ports| {
            what_runs_is_wrong(graph, ports).or_else(|| {
                let [one, two] = [1, 2].map(|threads| step(&mut load(graph, threads), graph, ports));
                difference(&one.ok()?, &two.ok()?, Agreement::Bits).map(|d| format!("at two threads: {d}"))
            })
        });
        evaluate(&graph, &ports).is_ok()
    });
}

/// Forward and backward, loops among them: every pass for each target, and machine code at one and two threads.
#[test]
fn gradients_become_machine_code() {
    check_most(0, 40, 3, becomes_machine_code);
}

/// The same in the other types of floats.
#[test]
fn gradients_in_shorter_floats_become_machine_code() {
    check_most(8000, 60, 3, |seed| {
        let float = [DType::F16, DType::Bf16, DType::F32][seed as usize % 3];
        let dtypes = vec![float, float, float, DType::I32, DType::Bool];
        gradients_agree(seed, &Limits { dtypes, ..f64_limits(seed) })
    });
}

/// A maximum of sums of products, of which another loop computes the elements anew to see which of them it is: rounded once in one loop and twice in the
/// other none would equal it, and its gradient would be lost.
#[test]
fn the_gradient_of_a_maximum_of_sums_of_products_is_not_lost() {
    becomes_machine_code(31_004_890);
}

/// A copy of a broadcast element, for a kernel that reads memory, took its few operations again for each place: fusion allowed what lowering refused.
#[test]
fn a_copy_of_a_computed_element_is_lowered() {
    becomes_machine_code(41_002_434);
}

/// Whether the graph of that seed could be compared, and has loops.
fn becomes_machine_code(seed: u64) -> bool {
    gradients_agree(seed, &f64_limits(seed))
}

/// The same, of a graph within limits.
fn gradients_agree(seed: u64, limits: &Limits) -> bool {
    let Some(graph) = with_gradients(seed, limits) else { return false };
    let ports = values(&graph, seed);
    let graph = crate::autodiff::transform(&graph, "autodiff");
    let Ok(expected) = evaluate(&graph, &ports) else { return false };
    if expected.values().any(|value| !value.to_f64_vec().iter().all(|x| x.abs() < 1e6)) {
        return false;
    }
    let target = [Target::baseline(), Target::avx2(), Target::avx512()][seed as usize % 3].clone();
    expect_none(seed, &graph, &ports, &|graph, ports| {
        let same = |a: &NamedValues, b: &NamedValues| difference_beyond_rounding(graph, ports, a, b);
        if let Err(fault) = first_fault(&target.to_string(), graph, ports, &target, &same) {
            return Some(fault);
        }
        let [one, two] = [1, 2].map(|threads| step(&mut load(graph, threads), graph, ports));
        let (Ok(expected), Ok(one), Ok(two)) = (evaluate(graph, ports), one, two) else {
            return Some("the program fails, or the interpreter".into());
        };
        same(&expected, &one).or_else(|| difference(&two, &one, Agreement::Bits))
    });
    !graph.scans().is_empty()
}
