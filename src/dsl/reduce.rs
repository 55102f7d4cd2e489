//! Reductions over all axes, over some (negative ones count from the end), or over some that stay as extent 1.

use super::Tensor;
use super::axes::{resolve_axes, resolve_axis};
use ir::op::cumsum::CumSum;
use ir::op::reduce::{ArgKind, ArgReduce, ReduceKind};
use ir::{Op, Shape};

/// Which elements a running sum has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cumulative {
    /// Only those before an element, not itself: the first sum is 0.
    pub exclusive: bool,
    /// Those from an element to the end.
    pub reverse: bool,
}

macro_rules! reductions {
    ($($all:ident, $axes:ident, $keep:ident, $kind:ident, $what:literal;)*) => {
        impl Tensor { $(
            #[doc = concat!("The ", $what, " of all elements, a scalar.")]
            #[track_caller]
            pub fn $all(&self) -> Tensor {
                self.reduce(stringify!($all), ReduceKind::$kind, None, false)
            }

            #[doc = concat!("The ", $what, " over axes, which are gone from the result.")]
            #[track_caller]
            pub fn $axes(&self, axes: impl AsRef<[isize]>) -> Tensor {
                self.reduce(stringify!($all), ReduceKind::$kind, Some(axes.as_ref()), false)
            }

            #[doc = concat!("The ", $what, " over axes, which stay with extent 1.")]
            #[track_caller]
            pub fn $keep(&self, axes: impl AsRef<[isize]>) -> Tensor {
                self.reduce(stringify!($all), ReduceKind::$kind, Some(axes.as_ref()), true)
            }
        )* }
    };
}

reductions! {
    sum, sum_axes, sum_keepdims, Sum, "sum";
    prod, prod_axes, prod_keepdims, Prod, "product";
    max, max_axes, max_keepdims, Max, "maximum (NaN if an element is)";
    min, min_axes, min_keepdims, Min, "minimum (NaN if an element is)";
}

macro_rules! averages {
    ($($all:ident, $axes:ident, $keep:ident, $inner:ident, $what:literal;)*) => {
        impl Tensor { $(
            #[doc = concat!("The ", $what, " of all elements, a scalar; floats.")]
            #[track_caller]
            pub fn $all(&self) -> Tensor {
                self.$inner(None, false)
            }

            #[doc = concat!("The ", $what, " over axes, which are gone from the result; floats.")]
            #[track_caller]
            pub fn $axes(&self, axes: impl AsRef<[isize]>) -> Tensor {
                self.$inner(Some(axes.as_ref()), false)
            }

            #[doc = concat!("The ", $what, " over axes, which stay with extent 1; floats.")]
            #[track_caller]
            pub fn $keep(&self, axes: impl AsRef<[isize]>) -> Tensor {
                self.$inner(Some(axes.as_ref()), true)
            }
        )* }
    };
}

averages! {
    mean, mean_axes, mean_keepdims, average, "mean";
    var, var_axes, var_keepdims, variance, "biased variance (the mean of squared distances from the mean)";
}

impl Tensor {
    #[track_caller]
    fn reduce(&self, op: &str, kind: ReduceKind, axes: Option<&[isize]>, keep: bool) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        let axes = match resolve_axes(axes, shape.rank()) {
            Ok(axes) => axes,
            Err(rule) => return self.fail(op, rule),
        };
        let mut dims = shape.dims().to_vec();
        axes.iter().for_each(|&axis| dims[axis] = 1);
        self.builder().build(&[self], |b, nodes| {
            let reduced = b.reduce(kind, nodes[0], &axes)?;
            match Shape::new(&dims) {
                Ok(kept) if keep => Ok(b.reshape(reduced, kept)?),
                _ => Ok(reduced),
            }
        })
    }

    #[track_caller]
    fn average(&self, axes: Option<&[isize]>, keep: bool) -> Tensor {
        let Some(ty) = self.ty() else { return self.clone() };
        if !ty.dtype.is_float() {
            return self.fail("mean", format!("operands must have a float type, not {}: cast first", ty.dtype));
        }
        let sum = self.reduce("mean", ReduceKind::Sum, axes, keep);
        let Some(shape) = sum.shape() else { return sum };
        sum / ((ty.shape.numel() / shape.numel()) as f64)
    }

    #[track_caller]
    fn variance(&self, axes: Option<&[isize]>, keep: bool) -> Tensor {
        let all: Vec<isize>;
        let axes = match (axes, self.shape()) {
            (Some(axes), _) => axes,
            (None, Some(shape)) => {
                all = (0..shape.rank() as isize).collect();
                &all
            }
            (None, None) => return self.clone(),
        };
        let centred = self - self.average(Some(axes), true);
        centred.square().average(Some(axes), keep)
    }

    /// The position (`i32`) of the first largest element along an axis, which is gone from the result.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor {
        self.arg_reduce("argmax", ArgKind::Max, axis)
    }

    /// The position (`i32`) of the first smallest element along an axis, which is gone from the result.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor {
        self.arg_reduce("argmin", ArgKind::Min, axis)
    }

    /// Running sums along an axis: each element and all before it. Integers wrap, and keep their type; 16-bit floats are summed in `f32`.
    ///
    /// The error of a sum doesn't grow with its length: see [`ir::op::cumsum::CumSum`]. Sums of elements that aren't negative never decrease.
    ///
    /// ```
    /// use gradc::dsl::{f32, GraphBuilder};
    /// let g = GraphBuilder::new("distribution");
    /// let cumulative = g.input("probabilities", f32([8, 100])).cumsum(-1);
    /// assert_eq!(cumulative.ty().unwrap().to_string(), "f32[8,100]");
    /// ```
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        self.cumsum_with(axis, Cumulative::default())
    }

    /// [`Tensor::cumsum`] without each element itself, or from the end, or both, as TensorFlow's options have it.
    #[track_caller]
    pub fn cumsum_with(&self, axis: isize, Cumulative { exclusive, reverse }: Cumulative) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        match resolve_axis(axis, shape.rank()) {
            Ok(axis) => self.emit(Op::CumSum(CumSum { axis, exclusive, reverse })),
            Err(rule) => self.fail("cumsum", rule),
        }
    }

    #[track_caller]
    fn arg_reduce(&self, op: &str, kind: ArgKind, axis: isize) -> Tensor {
        let Some(shape) = self.shape() else { return self.clone() };
        match resolve_axis(axis, shape.rank()) {
            Ok(axis) => self.emit(Op::ArgReduce(ArgReduce { kind, axis })),
            Err(rule) => self.fail(op, rule),
        }
    }
}
