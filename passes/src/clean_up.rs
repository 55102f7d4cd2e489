//! The part of THE list that tidies up what is written for generality, derivative rules first of all. `autodiff` runs it, too, on each step of a scan that it
//! differentiates: what a step must keep for the way back is known once what is superfluous has gone.

use crate::pass::{Pass, graph_pass, rules_pass};
use crate::{cse, dce, fold, simplify, stage::Stage};

/// A pass that leaves a differentiated graph as such.
pub(crate) const CLEAN: (Stage, Stage) = (Stage::Differentiated, Stage::Differentiated);

pub(crate) const SIMPLIFY: Pass = rules_pass(
    "simplify",
    simplify::all,
    CLEAN,
    "Derivative rules are written for generality: their identities, double movements and broadcasts go before anything is compared or evaluated.",
);

pub(crate) const FOLD: Pass =
    graph_pass("fold", fold::run, CLEAN, "After simplify, which has brought constants next to one another.");

pub(crate) const CSE: Pass =
    graph_pass("cse", cse::run, CLEAN, "After simplify and fold, which have given equal nodes an equal spelling.");

pub(crate) const SIMPLIFY_AGAIN: Pass = rules_pass(
    "simplify",
    simplify::all,
    CLEAN,
    "Again: folding made constants and cse made operands equal, on which rules may fire now.",
);

pub(crate) const CSE_AGAIN: Pass =
    graph_pass("cse", cse::run, CLEAN, "Again: the second simplify may have spelled two nodes alike.");

pub(crate) const DCE: Pass =
    graph_pass("dce", dce::run, CLEAN, "Last of the clean-up: fuse is to see only what results need.");

/// These passes in their order. In THE list `hoist` stands among them, which a single step of a scan has no use for.
pub(crate) const CLEAN_UP: [Pass; 6] = [SIMPLIFY, FOLD, CSE, SIMPLIFY_AGAIN, CSE_AGAIN, DCE];
