//! Images read at places that lie between their elements.

use crate::dsl::{Tensor, TypeSpec};
use crate::nn::layer::Interpolation;
use crate::nn::layer::window::image;
use ir::{DType, TensorType};

/// What lies outside of an image: Keras's `fill_mode`, PyTorch's `padding_mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FillMode {
    /// 0; PyTorch's `zeros`.
    Constant,
    /// The nearest element of the border; PyTorch's `border`.
    Nearest,
    /// The image mirrored at its edge, `d c b a | a b c d | d c b a`; PyTorch's `reflection`.
    #[default]
    Reflect,
    /// The image again.
    Wrap,
}

/// How [`grid_sample`] reads an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GridSample {
    /// Between elements. ([`Interpolation::Nearest`] decides ties as the scalar op `round` does.)
    pub interpolation: Interpolation,
    /// Outside.
    pub fill: FillMode,
    /// Whether -1 and 1 are the centres of the outermost elements, rather than the image's edges; [`FillMode::Reflect`] then mirrors at those centres.
    pub align_corners: bool,
}

/// The images `[batch, height, width, channels]` at the places of a grid `[batch, rows, columns, 2]`: `[batch, rows, columns, channels]`. A place is `(x, y)`, from -1 on the
/// left and at the top to 1; what `torch.nn.functional.grid_sample` gives, but for the layout. Gradients are by the images and by the places.
/// At a place that isn't finite the result is NaN, and no gradient goes there.
///
/// ```
/// use gradc::dsl::{GraphBuilder, f32};
/// use gradc::nn::{GridSample, grid_sample};
/// let g = GraphBuilder::new("look");
/// let (x, places) = (g.input("x", f32([8, 32, 32, 3])), g.input("places", f32([8, 16, 16, 2])));
/// assert_eq!(grid_sample(&x, &places, GridSample::default()).ty().unwrap().to_string(), "f32[8,16,16,3]");
/// ```
#[track_caller]
pub fn grid_sample(x: &Tensor, grid: &Tensor, how: GridSample) -> Tensor {
    let ty = match image("grid_sample", x) {
        Ok(ty) => ty,
        Err(failed) => return failed,
    };
    let Some(places) = grid.ty() else { return grid.clone() };
    if places.shape.rank() != 4 || places.shape[0] != ty.shape[0] || places.shape[3] != 2 || !places.dtype.is_float() {
        let rule = format!("the grid must be floats [{}, rows, columns, 2], not {places}", ty.shape[0]);
        return x.builder().fail("grid_sample", &[x, grid], rule);
    }
    let along = |axis: usize, extent: usize| {
        let place = grid.slice_axis(3, axis..axis + 1).squeeze([3]).cast(coordinate(ty.dtype));
        let extent = extent as f64;
        let at = match how.align_corners {
            true => (place + 1.0) * ((extent - 1.0) / 2.0),
            false => (place + 1.0) * (extent / 2.0) - 0.5,
        };
        let is_finite = at.abs().lt(f64::INFINITY);
        (is_finite.select(&at, 0.0), is_finite)
    };
    let ((columns, is_column), (rows, is_row)) = (along(0, ty.shape[2]), along(1, ty.shape[1]));
    let read = Taps { x, ty: &ty, how }.at(&rows, &columns);
    is_row.and(is_column).unsqueeze(-1).select(&read, f64::NAN)
}

/// What places are computed in: 16 bits don't tell the elements of an image apart.
pub(super) fn coordinate(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// Images to read.
pub(super) struct Taps<'a> {
    pub(super) x: &'a Tensor,
    pub(super) ty: &'a TensorType,
    pub(super) how: GridSample,
}

impl Taps<'_> {
    /// At places in elements, 0 the centre of the first, `[batch, rows, columns]` each.
    #[track_caller]
    pub(super) fn at(&self, rows: &Tensor, columns: &Tensor) -> Tensor {
        match self.how.interpolation {
            Interpolation::Nearest => self.read(&rows.round(), &columns.round()),
            Interpolation::Bilinear => {
                let (top, left) = (rows.floor(), columns.floor());
                let (down, right) = (rows - &top, columns - &left);
                let (bottom, next) = (&top + 1.0, &left + 1.0);
                let share = |weight: Tensor| weight.cast(self.ty.dtype).unsqueeze(-1);
                let rest = |weight: &Tensor| 1.0 - weight;
                self.read(&top, &left) * share(rest(&down) * rest(&right))
                    + self.read(&top, &next) * share(rest(&down) * &right)
                    + self.read(&bottom, &left) * share(&down * rest(&right))
                    + self.read(&bottom, &next) * share(&down * &right)
            }
        }
    }

    /// The elements at whole numbers.
    #[track_caller]
    fn read(&self, rows: &Tensor, columns: &Tensor) -> Tensor {
        let [batch, height, width, channels] = [0, 1, 2, 3].map(|axis| self.ty.shape[axis]);
        let Some(places) = rows.shape() else { return rows.clone() };
        let (row, is_row) = self.inside(rows, height);
        let (column, is_column) = self.inside(columns, width);
        let place = (row * width as i32 + column).reshape([batch as isize, -1, 1]);
        let elements = self.x.reshape([batch, height * width, channels].map(|extent| extent as isize));
        let dims = [batch, places[1], places[2], channels].map(|extent| extent as isize);
        let read = elements.take_along_axis(place, 1).reshape(dims);
        match self.how.fill {
            FillMode::Constant => is_row.and(is_column).unsqueeze(-1).select(&read, 0.0),
            _ => read,
        }
    }

    /// Which element along an axis stands for a whole number, and whether that is one of the axis.
    #[track_caller]
    fn inside(&self, at: &Tensor, extent: usize) -> (Tensor, Tensor) {
        let last = extent as f64 - 1.0;
        let is_inside = at.ge(0.0).and(at.le(last));
        let modulo = |x: &Tensor, period: f64| x - (x / period).floor() * period;
        let at = match self.how.fill {
            FillMode::Constant | FillMode::Nearest => at.clone(),
            FillMode::Wrap => modulo(at, extent as f64),
            // Twice as long, the image and its mirror image.
            FillMode::Reflect if self.how.align_corners => last - (modulo(at, (2.0 * last).max(1.0)) - last).abs(),
            FillMode::Reflect => {
                let period = 2.0 * extent as f64;
                last + 0.5 - (modulo(at, period) - (last + 0.5)).abs()
            }
        };
        // Also where the remainder was rounded.
        (at.clamp(0.0, last).cast(DType::I32), is_inside)
    }
}

/// The numbers from 0 to `extent - 1`, less their mean if `centred`, along axis `axis` of `[1, 1, 1]`, as places are.
#[track_caller]
pub(super) fn numbers(x: &Tensor, dtype: DType, extent: usize, axis: usize, centred: bool) -> Tensor {
    let mut dims = [1; 3];
    dims[axis] = extent;
    let numbers = x.builder().iota(TypeSpec::new(dtype, dims), axis);
    if centred { numbers - (extent as f64 - 1.0) / 2.0 } else { numbers }
}
