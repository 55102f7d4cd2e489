//! Explanation by covering parts of an image.

use super::{classes, float_input, score, single_output};
use crate::dsl::{GraphBuilder, ModelErrors, Step, Tensor, TypeSpec};
use crate::model::Model;
use ir::{Data, Loc, Shape, TensorType, Value};

/// Which squares of an image are covered, and by what.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Occlusion {
    /// Height and width of the square.
    pub size: usize,
    /// How far it moves.
    pub stride: usize,
    /// What stands in the square.
    pub fill: f64,
}

impl Occlusion {
    /// The places of the square along one axis: as many as lie inside.
    fn places(&self, extent: usize) -> Option<usize> {
        (self.size > 0 && self.stride > 0 && extent >= self.size).then(|| (extent - self.size) / self.stride + 1)
    }
}

/// How much each square's covering lowers the score (Zeiler and Fergus, arXiv 1311.2901) of one image. Inputs: `x [1, height, width, channels]`,
/// `class i32[1]`; outputs: `drop [rows, columns]`, the score less that of the image covered at each place, and `score [1]`.
///
/// # Errors
/// All rules that the model breaks; and if its input is no image of floats, or the square doesn't lie in it.
#[track_caller]
pub fn occlusion_graph(model: &impl Model, occlusion: Occlusion) -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new(format!("{}_occlusion", model.name()));
    g.at(Loc::caller(), || {
        let Some(ty) = float_input(&g, model) else { return };
        let x = g.input("x", ty.batched(1));
        let [height, width, _] = ty.dims[..] else {
            x.fail("occlusion", "the input must be [batch, height, width, channels]");
            return;
        };
        let (Some(rows), Some(columns)) = (occlusion.places(height), occlusion.places(width)) else {
            x.fail("occlusion", format!("{occlusion:?} has no place in an image of {height} by {width}"));
            return;
        };
        let Some(covered) = covered(&g, occlusion, [height, width], [rows, columns]) else { return };
        let images = g.full(occlusion.fill, TypeSpec::new(ty.dtype, [])).where_(&covered, &x);
        let places = rows * columns;
        let all = x.concat(&[&images], 0);
        let scores = score(&single_output(model, &[all]), &classes(&g, 1).broadcast_to([places + 1]));
        let whole = scores.slice_axis(0, 0..1);
        let drop = &whole - scores.slice_axis(0, 1..places + 1);
        g.output("drop", &drop.reshape([rows as isize, columns as isize]));
        g.output("score", &whole);
    });
    g.finish()
}

/// For each place whether each pixel is covered: `[places, height, width, 1]` of truth values.
#[track_caller]
fn covered(
    g: &GraphBuilder,
    Occlusion { size, stride, .. }: Occlusion,
    [height, width]: [usize; 2],
    [rows, columns]: [usize; 2],
) -> Option<Tensor> {
    let inside = |pixel: usize, place: usize| (place * stride..place * stride + size).contains(&pixel);
    let at = |i: usize| {
        let (place, y, x) = (i / (height * width), i / width % height, i % width);
        inside(y, place / columns) && inside(x, place % columns)
    };
    let elements = (0..rows * columns * height * width).map(at).collect();
    let shape = Shape::new([rows * columns, height, width, 1]).ok()?;
    let value = Value::new(TensorType::new(ir::DType::Bool, shape), Data::Bool(elements)).ok()?;
    Some(g.constant(value))
}
