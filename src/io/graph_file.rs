//! A step's graph in a file of text, for looking into it: what the command's `opt`, `run`, `bisect`, `diff`, `dump`, `profile`, `report` and `build` take.

use super::{IoError, write_atomically};
use crate::dsl::{ModelErrors, Step};
use crate::model::Model;
use std::path::Path;

/// Why a model's graph couldn't be written.
#[derive(thiserror::Error)]
pub enum GraphFileError {
    /// The model breaks rules; each is named with its place.
    #[error(transparent)]
    Model(#[from] ModelErrors),
    /// The file could not be written.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl std::fmt::Debug for GraphFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Step {
    /// Writes the graph as text, with the place of each node in the source and comments that tell layers and sections, atomically. [`ir::Graph::parse`] reads it, and the command `gradc` takes it. Values of
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
        write_atomically(path, self.graph.display().locations(true).comments(true).to_string().as_bytes())
    }
}

/// Writing a model's graph, for looking into it.
pub trait SaveGraph: Model + Sized {
    /// Writes the graph of a prediction for `batch` samples as [`Step::save`] does: `gradc dump model.ir` shows it. That of a training step is saved by the step that
    /// [`Model::training_graph`] gives.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("model.ir");
    /// Sequential::new([4]).dense(3).relu().dense(1).save_graph(2, &path)?;
    /// let text = std::fs::read_to_string(&path)?;
    /// assert!(text.contains("; dense_1\n"));
    /// assert_eq!(gradc::ir::Graph::parse(&text)?.outputs().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// All rules that the model breaks, or if the file can't be written.
    #[track_caller]
    fn save_graph(&self, batch: usize, path: impl AsRef<Path>) -> Result<(), GraphFileError> {
        Ok(self.inference_graph(batch)?.save(path)?)
    }
}

impl<M: Model> SaveGraph for M {}
