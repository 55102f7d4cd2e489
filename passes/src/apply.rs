//! Runs one pass on a program, with no check of either.

use crate::simplify::{self, Rewrites};
use crate::{Module, Pass, PassContext, PassError, PassFn, Stage, bodies};
use ir::Graph;

impl Pass {
    /// What the pass makes of a program, with no check of either. Rules are counted in `rewrites`, and end where it allows no more.
    ///
    /// # Errors
    /// What the pass can't do; a pass on graphs for loops, or the other way round.
    pub fn apply(&self, module: Module, cx: &PassContext, rewrites: &mut Rewrites) -> Result<Module, PassError> {
        match (self.run, module) {
            (PassFn::Graph(_) | PassFn::Rules(_), Module::Graph(mut graph)) => {
                self.apply_with_bodies(&mut graph, cx, rewrites)?;
                Ok(Module::Graph(graph))
            }
            (PassFn::Step(f), Module::Graph(mut graph)) => {
                f(&mut graph, cx)?;
                Ok(Module::Graph(graph))
            }
            (PassFn::Lower(f), Module::Graph(graph)) => Ok(Module::Program(f(&graph, cx)?)),
            (PassFn::Program(f), Module::Program(mut program)) => {
                f(&mut program, cx)?;
                Ok(Module::Program(program))
            }
            (PassFn::Program(_), Module::Graph(graph)) => {
                Err(PassError::Stage { needs: Stage::Lowered, is: Stage::of(&graph) })
            }
            (_, Module::Program(_)) => Err(PassError::Unsupported {
                what: "the program has been lowered to loops: a pass on graphs can't run any more".into(),
                loc: None,
            }),
        }
    }

    fn apply_with_bodies(&self, graph: &mut Graph, cx: &PassContext, rewrites: &mut Rewrites) -> Result<(), PassError> {
        self.apply_to_graph(graph, cx, rewrites)?;
        bodies::for_each(graph, &mut |body| self.apply_with_bodies(body, cx, rewrites))
    }

    /// A pass from graph to graph on this graph, not on the bodies in it.
    pub(crate) fn apply_to_graph(
        &self,
        graph: &mut Graph,
        cx: &PassContext,
        rewrites: &mut Rewrites,
    ) -> Result<(), PassError> {
        match self.run {
            PassFn::Graph(f) | PassFn::Step(f) => f(graph, cx),
            PassFn::Rules(rules) => simplify::apply(graph, &rules(), rewrites),
            PassFn::Lower(_) | PassFn::Program(_) => {
                Err(PassError::Stage { needs: Stage::Lowered, is: Stage::of(graph) })
            }
        }
    }
}
