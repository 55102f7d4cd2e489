//! Layers whose product is more than that of a matrix: along letters, and of two inputs.

use super::{Layer, LayerId, Regularizer, weight, wrong_inputs};
use crate::dsl::{Initializer, Tensor, glorot_uniform, zeros};
use crate::nn::Activation;

/// `activation(einsum(x, kernel) + bias)` (Keras's layer): the equation gives letters to the axes of the input, the kernel and the result, `"abc,cd->abd"`. Parameter `kernel`, of the
/// letters' extents; with [`EinsumDense::bias_axes`] `bias`, of the extents of those letters. The equation is one of [`Tensor::einsum`], which has no ellipsis.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{EinsumDense, Layer};
/// let x = GraphBuilder::new("heads").input("x", f32([8, 10, 64]));
/// // Four heads of 16 features.
/// let y = EinsumDense::new("abc,cde->abde", [None, Some(4), Some(16)]).bias_axes("de").apply(&x);
/// assert_eq!(y.shape().unwrap().dims(), [8, 10, 4, 16]);
/// ```
#[derive(Clone, Debug)]
pub struct EinsumDense {
    equation: String,
    output: Vec<Option<usize>>,
    bias_axes: String,
    name: String,
    id: LayerId,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Regularizer,
}

impl EinsumDense {
    /// With that equation, and the extents of the result's axes without the batch: `None` for one that the input has. No activation, no bias, Glorot-uniform kernel.
    pub fn new(equation: &str, output: impl AsRef<[Option<usize>]>) -> Self {
        Self {
            equation: equation.into(),
            output: output.as_ref().to_vec(),
            bias_axes: String::new(),
            name: "einsum_dense".into(),
            id: LayerId::new(),
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            bias_initializer: zeros(),
            kernel_regularizer: Regularizer::default(),
        }
    }

    /// With a bias along the axes of these letters of the result.
    pub fn bias_axes(mut self, letters: &str) -> Self {
        self.bias_axes = letters.into();
        self
    }

    /// The extents of the kernel and of the bias, which broadcasts to the result.
    fn extents(&self, input: &[usize]) -> Result<(Vec<usize>, Vec<usize>), String> {
        let letters = |part: &str| part.chars().filter(|c| !c.is_whitespace()).collect::<Vec<char>>();
        let (left, right) = self.equation.split_once("->").ok_or("the equation must have an arrow")?;
        let (x, kernel) = left.split_once(',').ok_or("the equation must have the input and the kernel")?;
        let (x, kernel, y) = (letters(x), letters(kernel), letters(right));
        if x.len() != input.len() || y.len() != self.output.len() + 1 {
            let (rank, axes) = (input.len(), self.output.len() + 1);
            return Err(format!(
                "it has {} and {} letters for an input of {rank} axes and a result of {axes}",
                x.len(),
                y.len()
            ));
        }
        let of = |letter: char| {
            let given = y.iter().position(|&c| c == letter).and_then(|i| *self.output.get(i.checked_sub(1)?)?);
            let own = x.iter().position(|&c| c == letter).map(|i| input[i]);
            given.or(own).ok_or_else(|| format!("nothing says the extent of `{letter}`"))
        };
        let kernel = kernel.iter().map(|&c| of(c)).collect::<Result<_, _>>()?;
        if let Some(c) = self.bias_axes.chars().find(|c| !y.contains(c)) {
            return Err(format!("`{c}` of the bias is no axis of the result"));
        }
        let first = y.iter().position(|&c| self.bias_axes.contains(c)).unwrap_or(y.len());
        let bias = y[first..].iter().map(|&c| if self.bias_axes.contains(c) { of(c) } else { Ok(1) });
        Ok((kernel, bias.collect::<Result<_, _>>()?))
    }
}

impl Layer for EinsumDense {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "EinsumDense"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        let (kernel, bias) = match self.extents(&shape) {
            Ok(extents) => extents,
            Err(rule) => return x.fail("einsum_dense", format!("{:?}: {rule}", self.equation)),
        };
        let kernel = weight(x, name, "kernel", &kernel, &self.kernel_initializer);
        self.kernel_regularizer.apply(&kernel);
        let y = x.einsum(&self.equation, &[&kernel]);
        if bias.is_empty() || !self.use_bias {
            return self.activation.apply(&y);
        }
        self.activation.apply(&(y + weight(x, name, "bias", &bias, &self.bias_initializer)))
    }
}

super::conv::weighted_layer_options!(EinsumDense);

/// `y_k = aᵀ W_k b + bias_k` of two inputs (PyTorch's layer): `(&a, &b)`, `[batch, ..., n]` and `[batch, ..., m]`, give `[batch, ..., units]`. Parameters `kernel [n, m, units]`,
/// PyTorch's with the units last, and `bias [units]`.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Bilinear, Layer};
/// let g = GraphBuilder::new("agreement");
/// let (a, b) = (g.input("a", f32([8, 3])), g.input("b", f32([8, 5])));
/// assert_eq!(Bilinear::new(2).apply((&a, &b)).shape().unwrap().dims(), [8, 2]);
/// ```
#[derive(Clone, Debug)]
pub struct Bilinear {
    units: usize,
    name: String,
    id: LayerId,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Regularizer,
}

impl Bilinear {
    /// With that many results: no activation, Glorot-uniform kernel, zero bias.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            name: "bilinear".into(),
            id: LayerId::new(),
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
            bias_initializer: zeros(),
            kernel_regularizer: Regularizer::default(),
        }
    }
}

impl Layer for Bilinear {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Bilinear"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.call_many(std::slice::from_ref(x), name).swap_remove(0)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        let [a, b] = inputs else { return wrong_inputs(&self.name, inputs, "two tensors") };
        let (Some(a_shape), Some(b_shape)) = (a.shape(), b.shape()) else { return vec![a.poisoned()] };
        let rank = a_shape.rank();
        if rank < 2 || b_shape.rank() != rank || a_shape[..rank - 1] != b_shape[..rank - 1] {
            let rule = "the inputs must be [batch, ..., features], equal but for their last axes";
            return vec![a.builder().fail("bilinear", &[a, b], rule)];
        }
        let (n, m) = (a_shape[rank - 1], b_shape[rank - 1]);
        let kernel = weight(a, name, "kernel", &[n, m, self.units], &self.kernel_initializer);
        self.kernel_regularizer.apply(&kernel);
        let rows = |x: &Tensor, width: usize| x.reshape([-1, width as isize]);
        let y = rows(a, n).einsum("bi,ijk,bj->bk", &[&kernel, &rows(b, m)]);
        let mut dims: Vec<isize> = a_shape.iter().map(|&extent| extent as isize).collect();
        dims[rank - 1] = self.units as isize;
        let mut y = y.reshape(dims).with_mask_of(a);
        if self.use_bias {
            y = y + weight(a, name, "bias", &[self.units], &self.bias_initializer);
        }
        vec![self.activation.apply(&y)]
    }
}

super::conv::weighted_layer_options!(Bilinear);
