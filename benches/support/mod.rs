//! What the benchmarks share: graphs made runnable.

use gradc::compile::{Cache, CompileOptions, CompiledProgram};
use gradc::dsl::{GraphBuilder, Step, Tensor};

/// Compiles a step for this machine, to run on the calling thread.
#[allow(dead_code)] // Not every benchmark compiles one.
pub(crate) fn load(step: &Step) -> CompiledProgram {
    step.compile(&CompileOptions::threads(1).cache(Cache::Off)).expect("the benchmark's graph compiles")
}

/// The program of a graph whose inputs `f` declares and whose result it gives; all inputs are between -1 and 1.
#[allow(dead_code)] // Not every benchmark declares one.
pub(crate) fn function(f: impl FnOnce(&GraphBuilder) -> Tensor) -> CompiledProgram {
    let g = GraphBuilder::new("bench");
    let result = f(&g);
    g.output("out", &result);
    let step = g.finish().expect("the benchmark's graph obeys the rules");
    let mut program = load(&step);
    for (seed, (_, input)) in step.graph.inputs().enumerate() {
        let values = gradc_cli::bench::stream::uniform(2001 + seed as u64, input.ty.shape.numel(), -1.0, 1.0);
        program.input_mut(&input.name).expect("inputs are f32").copy_from_slice(&values);
    }
    program
}
