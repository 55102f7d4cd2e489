//! The list of passes: which there are, in which order they run, and why each stands where it does.
//!
//! The names here are the names everywhere: in reports, on the command line, in the headers of file tests.

use crate::clean_up::{CLEAN, CSE, CSE_AGAIN, DCE, FOLD, SIMPLIFY, SIMPLIFY_AGAIN};
use crate::pass::graph_pass;
use crate::{
    Pass, PassContext, PassError, PassFn, Stage, autodiff, check_numerics, collapse, cse, decompose, fma, fuse,
    fuse_loops, hoist, legalize, lower, pair, parallelize, plan_memory, quad, rematerialize, schedule, tile, unroll,
    vectorize, widen,
};
use kernel::Program;

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

/// THE pipeline. A pass may stand in it more than once.
pub const PIPELINE: &[Pass] = &[
    // Graph to graph.
    graph_pass(
        "autodiff",
        autodiff::run,
        (Stage::Declared, Stage::Differentiated),
        "First: every later pass may then treat forward and backward alike, and may replace a node by an equal one, which before would change what gradients are taken by.",
    ),
    SIMPLIFY,
    FOLD,
    CSE,
    graph_pass(
        "hoist",
        hoist::run,
        CLEAN,
        "After cse, which has made equal operands one; before simplify, whose rules make one contraction of what leaves a loop.",
    ),
    SIMPLIFY_AGAIN,
    CSE_AGAIN,
    DCE,
    graph_pass(
        "widen",
        widen::run,
        CLEAN,
        "After the clean-up, which would take its casts for the user's; before legalize, which weighs contractions by the width of their elements.",
    ),
    graph_pass(
        "legalize",
        legalize::run,
        CLEAN,
        "After the clean-up, whose rules are written for convolutions as users know them; before fuse, which must see the copies that padding costs.",
    ),
    graph_pass(
        "pair",
        pair::run,
        CLEAN,
        "After widen and legalize, which have made contractions of f32 and padded them; before fuse, which joins the making of pairs with what comes before.",
    ),
    graph_pass(
        "quad",
        quad::run,
        CLEAN,
        "After legalize, which has padded convolutions; before fuse, which joins conversions with what comes before.",
    ),
    graph_pass(
        "fma",
        fma::run,
        CLEAN,
        "After all rules for products; before fuse, which may compute an element in several places: its bits must be the same in all.",
    ),
    graph_pass(
        "cse",
        cse::run,
        CLEAN,
        "Again: two convolutions of one tensor pad it alike, and two differences negate it.",
    ),
    graph_pass("fuse", fuse::run, (Stage::Differentiated, Stage::Fused), "When nothing is left to remove."),
    graph_pass(
        "schedule",
        schedule::run,
        (Stage::Fused, Stage::Scheduled),
        "Needs clusters, and numbers them for lower.",
    ),
    Pass {
        name: "rematerialize",
        run: PassFn::Step(rematerialize::run),
        requires: Stage::Scheduled,
        ensures: Stage::Scheduled,
        why: "After schedule: what is in memory when is known, and a cluster that runs twice is the same kernel with the same bits.",
    },
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
    program_pass(
        "check_numerics",
        check_numerics::run,
        LOOPS,
        "After fuse_loops, so that what it joins stays joined; before tile, so that the loops of the checks are cut, made vectors and shared as all others.",
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

/// The passes on loops: those of the pipeline after `lower`.
pub fn on_loops() -> &'static [Pass] {
    let first = PIPELINE.iter().position(|pass| pass.name == "lower").map_or(0, |at| at + 1);
    &PIPELINE[first..]
}

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
/// If there is none; the message lists the names there are, and says which is like it.
pub fn find(name: &str) -> Result<&'static Pass, PassError> {
    PIPELINE.iter().find(|pass| pass.name == name).ok_or_else(|| PassError::UnknownPass {
        name: name.into(),
        near: nearest(name, names()),
        known: names().join(", "),
    })
}

/// Which of the names there are somebody may have meant who wrote `name`, if one is like it at all.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let likeness = |known: &&str| strsim::jaro(known, name);
    let near = known.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    near.filter(|near| likeness(near) > LIKE)
}

/// How like a name must be, of 1, to be proposed instead: what `clap` takes for its own options.
const LIKE: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::PIPELINE;
    use crate::clean_up::CLEAN_UP;

    #[test]
    fn steps_of_scans_are_cleaned_by_a_part_of_the_list_in_its_order() {
        let mut rest = PIPELINE.iter();
        for pass in CLEAN_UP {
            assert!(
                rest.any(|listed| (listed.name, listed.why) == (pass.name, pass.why)),
                "`{}`: {}",
                pass.name,
                pass.why
            );
        }
        // And what the list has between them moves work out of loops, nothing else.
        let from = PIPELINE.iter().position(|pass| pass.why == CLEAN_UP[0].why).unwrap();
        let between = PIPELINE[from..].iter().take_while(|pass| pass.name != "widen");
        let others: Vec<&str> =
            between.map(|pass| pass.name).filter(|name| !CLEAN_UP.iter().any(|p| p.name == *name)).collect();
        assert_eq!(others, ["hoist"]);
    }
}
