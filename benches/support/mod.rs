//! What the benchmarks share: graphs made runnable.

use gradc::dsl::{GraphBuilder, Step, Tensor};
use passes::{Module, PassContext, RunOptions};
use runtime::{Executable, LoadOptions};

/// Compiles and loads a step for this machine, to run on the calling thread.
#[allow(dead_code)] // Not every benchmark loads one.
pub(crate) fn load(step: &Step) -> Executable {
    let cx = PassContext::new(codegen::host_target());
    let outcome =
        passes::compile(step.graph.clone(), &cx, &RunOptions::default()).expect("the benchmark's graph compiles");
    let Module::Program(program) = outcome.module else { panic!("the passes end with loops") };
    Executable::load(program, &LoadOptions::default()).expect("the benchmark's program loads")
}

/// The program of a graph whose inputs `f` declares and whose result it gives; all inputs are between -1 and 1.
#[allow(dead_code)] // Not every benchmark declares one.
pub(crate) fn function(f: impl FnOnce(&GraphBuilder) -> Tensor) -> Executable {
    let g = GraphBuilder::new("bench");
    let result = f(&g);
    g.output("out", &result);
    let step = g.finish().expect("the benchmark's graph obeys the rules");
    let mut executable = load(&step);
    for (seed, (_, input)) in step.graph.inputs().enumerate() {
        let values = gradc::bench::stream::uniform(2001 + seed as u64, input.ty.shape.numel(), -1.0, 1.0);
        executable.write_input(&input.name, &values).expect("inputs are f32");
    }
    executable
}
