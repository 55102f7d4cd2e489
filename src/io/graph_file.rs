//! A step's graph in a file of text, for looking into it: what `gradc opt`, `run`, `bisect`, `diff`, `dump` and `profile` take.

use super::{IoError, write_atomically};
use crate::dsl::Step;
use std::path::Path;

impl Step {
    /// Writes the graph as text, with the place of each node in the source, atomically. [`ir::Graph::parse`] reads it, and the command `gradc` takes it. Values of
    /// states aren't in it: [`save_model`](super::save_model) writes both.
    ///
    /// ```
    /// use gradc::dsl::{GraphBuilder, f32};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("step.ir");
    /// let g = GraphBuilder::new("rows");
    /// g.output("sums", &g.input("x", f32([2, 3])).sum_axes([1]));
    /// let step = g.finish()?;
    /// step.save(&path)?;
    /// let read = gradc::ir::Graph::parse(&std::fs::read_to_string(&path)?)?;
    /// assert!(read.same_as(&step.graph) && read.same_places_as(&step.graph));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), IoError> {
        write_atomically(path, self.graph.display().locations(true).to_string().as_bytes())
    }
}
