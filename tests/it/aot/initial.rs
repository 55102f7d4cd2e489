//! `NAME_init` gives states the bits of `Step::initial_values`, for every initializer, element type and seed, on each instruction set of this machine.

use super::{Built, run};
use aot::{CompileObject, ObjectOptions};
use gradc::compile::CompileOptions;
use gradc::dsl::{self, GraphBuilder, Initializer, TypeSpec};
use gradc::prelude::*;
use ir::DType;
use serde_json::Value as Json;

/// Random initializers, in odd shapes, matrices of all forms among them.
fn random() -> Vec<(&'static str, Initializer, Vec<usize>)> {
    vec![
        ("uniform", dsl::uniform(-0.5, 2.0), vec![7, 3]),
        ("normal", dsl::normal(0.25, 3.0), vec![333]),
        ("truncated", dsl::truncated_normal(-1.0, 0.5), vec![5, 7, 3]),
        ("glorot", dsl::glorot_uniform(), vec![3, 3, 5, 7]),
        ("he", dsl::he_normal(), vec![11, 13]),
        ("tiny", dsl::normal(0.0, 1e-6), vec![257]),
        ("less", dsl::normal(0.0, 3e-39), vec![65]),
        ("huge", dsl::normal(0.0, 1e5), vec![129]),
        ("wide", dsl::orthogonal(), vec![5, 12]),
        ("tall", Initializer::Orthogonal { gain: 1.5 }, vec![3, 4, 5]),
        ("square", dsl::orthogonal(), vec![9, 9]),
    ]
}

/// Initializers of all element types.
fn plain() -> Vec<(&'static str, Initializer, Vec<usize>)> {
    vec![
        ("zeros", dsl::zeros(), vec![5]),
        ("constant", dsl::constant(1.0), vec![7, 3]),
        ("blocks", Initializer::Blocks(vec![0.0, 1.0, 1.0]), vec![3, 9]),
        ("seed", Initializer::Seed, vec![3]),
    ]
}

/// Many states; each is doubled in a step, so that none is left out.
fn step() -> Step {
    let g = GraphBuilder::new("start");
    let x = g.input("x", TypeSpec::new(DType::F32, [1]));
    g.output("y", &(&x * 2.0));
    let floats = [DType::F32, DType::F64, DType::Bf16, DType::F16];
    let all = DType::ALL.into_iter().filter(|dtype| !dtype.is_float()).chain(floats);
    let states = all.flat_map(|dtype| plain().into_iter().map(move |state| (dtype, state)));
    let states =
        states.chain(floats.into_iter().flat_map(|dtype| random().into_iter().map(move |state| (dtype, state))));
    for (dtype, (name, init, dims)) in states {
        let name = format!("{name}/{}", dtype.name());
        let state = g.state(&name, TypeSpec::new(dtype, dims), init);
        let next = if dtype == DType::Bool { state.logical_not() } else { &state + &state };
        g.set_update(&name, &next);
    }
    g.finish().unwrap()
}

const PROGRAM: &str = r#"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "start.h"

int main(int argc, char **argv) {
    start_context context;
    size_t i;
    memset(&context, 0, sizeof context);
    context.abi_version = START_ABI_VERSION;
    context.state_bytes = START_STATE_BYTES;
    context.states = aligned_alloc(START_ALIGN, START_STATE_BYTES);
    context.arena_bytes = START_ARENA_BYTES(1);
    context.arena = aligned_alloc(START_ALIGN, context.arena_bytes);
    if (argc < 2 || !context.states || !context.arena) return 2;
    memset(context.states, 0x55, START_STATE_BYTES);
    memset(context.arena, 0x55, context.arena_bytes);
    if (start_init(&context, (uint64_t)strtoull(argv[1], NULL, 10))) return 3;
    for (i = 0; i < START_STATE_BYTES; i++) printf("%02x", ((const unsigned char *)context.states)[i]);
    free(context.states);
    free(context.arena);
    return 0;
}
"#;

#[test]
fn initial_values_in_c_are_those_in_rust() {
    let step = step();
    let host = CompileOptions::default().target_or_host().unwrap();
    for target in host.limited_to_each() {
        let set = target.instruction_set().name();
        let built = Built::new(&step.compile_object(&ObjectOptions::named("start").targets([target])).unwrap());
        let manifest: Json = serde_json::from_slice(&std::fs::read(built.path("start.json")).unwrap()).unwrap();
        let source = built.path("start.c");
        std::fs::write(&source, PROGRAM).unwrap();
        let Some(program) = built.compile("cc", &["-std=c11", "-O1"], &source, "start") else { return };
        for seed in [0, 1, 42, 1 << 63 | 5, u64::MAX] {
            let text = run(&program, [seed.to_string()]);
            for (name, value) in step.initial_values(seed) {
                let state = manifest["states"].as_array().unwrap().iter().find(|state| state["name"] == *name).unwrap();
                let at = 2 * state["offset"].as_u64().unwrap() as usize;
                let wanted: String = value.data().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(text[at..at + wanted.len()], wanted, "{set}, seed {seed}, {name}");
            }
        }
    }
}
