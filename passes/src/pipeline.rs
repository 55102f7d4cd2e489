//! The list of passes: which there are, in which order they run, and why each stands where it does.
//!
//! The names here are the names everywhere: in reports, on the command line, in the headers of file tests.

use crate::{
    Pass, PassContext, PassError, PassFn, Stage, autodiff, collapse, cse, dce, decompose, fma, fold, fuse, fuse_loops,
    hoist, legalize, lower, pair, parallelize, plan_memory, schedule, simplify, tile, unroll, vectorize, widen,
};
use ir::Graph;
use kernel::Program;

const fn graph_pass(
    name: &'static str,
    run: fn(&mut Graph, &PassContext) -> Result<(), PassError>,
    (requires, ensures): (Stage, Stage),
    why: &'static str,
) -> Pass {
    Pass { name, run: PassFn::Graph(run), requires, ensures, why }
}

const fn program_pass(
    name: &'static str,
    run: fn(&mut Program, &PassContext) -> Result<(), PassError>,
    (requires, ensures): (Stage, Stage),
    why: &'static str,
) -> Pass {
    Pass { name, run: PassFn::Program(run), requires, ensures, why }
}

/// A pass on loops that changes their shape only.
const LOOPS: (Stage, Stage) = (Stage::Decomposed, Stage::Decomposed);

/// A pass that leaves a differentiated graph as such.
const CLEAN_UP: (Stage, Stage) = (Stage::Differentiated, Stage::Differentiated);

/// THE pipeline. A pass may stand in it more than once.
pub const PIPELINE: &[Pass] = &[
    // Graph to graph.
    graph_pass(
        "autodiff",
        autodiff::run,
        (Stage::Declared, Stage::Differentiated),
        "First: every later pass may then treat forward and backward alike, and may replace a node by an equal one, which before would change what gradients are taken by.",
    ),
    graph_pass(
        "simplify",
        simplify::run,
        CLEAN_UP,
        "Derivative rules are written for generality: their identities, double movements and broadcasts go before anything is compared or evaluated.",
    ),
    graph_pass("fold", fold::run, CLEAN_UP, "After simplify, which has brought constants next to one another."),
    graph_pass("cse", cse::run, CLEAN_UP, "After simplify and fold, which have given equal nodes an equal spelling."),
    graph_pass(
        "hoist",
        hoist::run,
        CLEAN_UP,
        "After cse, which has made equal operands one; before simplify, whose rules make one contraction of what leaves a loop.",
    ),
    graph_pass(
        "simplify",
        simplify::run,
        CLEAN_UP,
        "Again: folding made constants and cse made operands equal, on which rules may fire now.",
    ),
    graph_pass("cse", cse::run, CLEAN_UP, "Again: the second simplify may have spelled two nodes alike."),
    graph_pass("dce", dce::run, CLEAN_UP, "Last of the clean-up: fuse is to see only what results need."),
    graph_pass(
        "widen",
        widen::run,
        CLEAN_UP,
        "After the clean-up, which would take its casts for the user's; before legalize, which weighs contractions by the width of their elements.",
    ),
    graph_pass(
        "legalize",
        legalize::run,
        CLEAN_UP,
        "After the clean-up, whose rules are written for convolutions as users know them; before fuse, which must see the copies that padding costs.",
    ),
    graph_pass(
        "pair",
        pair::run,
        CLEAN_UP,
        "After widen and legalize, which have made contractions of f32 and padded them; before fuse, which joins the making of pairs with what comes before.",
    ),
    graph_pass(
        "fma",
        fma::run,
        CLEAN_UP,
        "After all rules for products; before fuse, which may compute an element in several places: its bits must be the same in all.",
    ),
    graph_pass(
        "cse",
        cse::run,
        CLEAN_UP,
        "Again: two convolutions of one tensor pad it alike, and two differences negate it.",
    ),
    graph_pass("fuse", fuse::run, (Stage::Differentiated, Stage::Fused), "When nothing is left to remove."),
    graph_pass(
        "schedule",
        schedule::run,
        (Stage::Fused, Stage::Scheduled),
        "Needs clusters, and numbers them for lower.",
    ),
    // Graph to loops.
    Pass {
        name: "lower",
        run: PassFn::Lower(lower::run),
        requires: Stage::Scheduled,
        ensures: Stage::Lowered,
        why: "Clusters and their order are known: each becomes kernels.",
    },
    // Loops to loops.
    program_pass(
        "decompose",
        decompose::run,
        (Stage::Lowered, Stage::Decomposed),
        "First of the loop passes: the others see only ops that machines have, and how much code they are.",
    ),
    program_pass("collapse", collapse::run, LOOPS, "Before tile: a tensor of any rank is one loop to cut."),
    program_pass(
        "fuse_loops",
        fuse_loops::run,
        LOOPS,
        "After collapse: loops that run once hide what is inside; before tile, which cuts loops into chunks of any length.",
    ),
    program_pass("tile", tile::run, LOOPS, "Before vectorize: chunks are cut where no vector is."),
    program_pass(
        "unroll",
        unroll::run,
        LOOPS,
        "Before vectorize: the loop around a window's taps becomes straight-line code.",
    ),
    program_pass("vectorize", vectorize::run, LOOPS, "When loops have their final shape."),
    program_pass("parallelize", parallelize::run, LOOPS, "After vectorize: what one iteration costs is known."),
    program_pass(
        "plan_memory",
        plan_memory::run,
        (Stage::Decomposed, Stage::Planned),
        "Last: which buffers a kernel may share is read off its final form.",
    ),
];

/// The names of all passes, each once, in the order of their first place.
pub fn names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for pass in PIPELINE {
        if !names.contains(&pass.name) {
            names.push(pass.name);
        }
    }
    names
}

/// The pass of that name.
///
/// # Errors
/// If there is none; the message lists the names there are.
pub fn find(name: &str) -> Result<&'static Pass, PassError> {
    PIPELINE
        .iter()
        .find(|pass| pass.name == name)
        .ok_or_else(|| PassError::UnknownPass { name: name.into(), known: names().join(", ") })
}
