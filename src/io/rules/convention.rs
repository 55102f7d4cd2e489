//! Whose names, and whose order of axes and gates.

use super::recipe::{Recipe, SourceAxes, SourceJoin};
use ir::TensorType;
use std::collections::BTreeMap;

/// How a file's tensors are called and laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Convention {
    /// As this library saves them.
    #[default]
    Gradc,
    /// As the state dictionaries of `torch.nn`'s modules are:
    ///
    /// | Here | There |
    /// |---|---|
    /// | `dense/kernel [in, out]`, `bias` | `dense.weight [out, in]`, `dense.bias` |
    /// | `conv2d/kernel [kh, kw, in, out]`, and of transposed convolutions `[kh, kw, out, in]` | `conv2d.weight [out, in, kh, kw]`, `[in, out, kh, kw]` |
    /// | `depthwise_conv2d/kernel [kh, kw, channels, multiplier]` | `depthwise_conv2d.weight [channels multiplier, 1, kh, kw]` |
    /// | `embedding/embeddings`, `p_relu/alpha` | `embedding.weight`, `p_relu.weight` |
    /// | norms' `gamma`, `beta`, `moving_mean`, `moving_variance` | `weight`, `bias`, `running_mean`, `running_var` |
    /// | `lstm/kernel`, `recurrent_kernel`, `bias` | `lstm.weight_ih_l0`, `weight_hh_l0`, the sum of `bias_ih_l0` and `bias_hh_l0`; cells' names without `_l0` |
    /// | `gru/..`, whose gates are `z, r, h`, `bias [2, 3 units]` | the same, gates `r, z, n`, both biases |
    /// | `bidirectional/forward_lstm/..`, `backward_lstm/..` | `bidirectional.weight_ih_l0`, `weight_ih_l0_reverse` and so on |
    /// | attention's `qkv/kernel`, `qkv/bias` | `in_proj_weight`, `in_proj_bias`; or three: `query.weight`, `key.weight`, `value.weight`; or `q_proj`, `k_proj`, `v_proj` |
    /// | attention's `output/..` | `out_proj..`, `o_proj..` or `output..` |
    /// | `transformer_block/attention`, `dense1`, `dense2` | `transformer_block.self_attn`, `linear1`, `linear2`, or the names here |
    ///
    /// Counters of batches and ids of positions are left out.
    PyTorch,
    /// As Keras 3 calls its variables' paths. Axes and gates lie as they do here, but attention's kernels are `query/kernel [width, heads, size]` and so on and
    /// `attention_output/kernel [heads, size, width]`, and recurrent layers' names have their cell's in them: `lstm/lstm_cell/kernel`. A `:0` at the end of a name isn't looked at.
    Keras,
}

impl Convention {
    /// The name of who has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gradc => "gradc",
            Self::PyTorch => "PyTorch",
            Self::Keras => "Keras",
        }
    }

    /// A name in the form in which names are compared.
    pub(super) fn normal(self, name: &str) -> String {
        let name = if self == Self::Keras { name.strip_suffix(":0").unwrap_or(name) } else { name };
        name.replace('/', ".")
    }

    /// Whether a tensor of that name belongs to no state anywhere.
    pub(super) fn ignores(self, name: &str) -> bool {
        let last = name.rsplit(['.', '/']).next().unwrap_or(name);
        self == Self::PyTorch && ["num_batches_tracked", "position_ids"].contains(&last)
    }

    /// The ways in which a state may stand in a file, the likeliest first.
    pub(super) fn recipes(self, state: &str, states: &BTreeMap<String, TensorType>) -> Vec<Recipe> {
        let of = StateOf::new(state, states);
        let own = Recipe::plain(self.normal(state));
        let mut recipes = match self {
            Self::Gradc => vec![],
            Self::PyTorch => of.paths().iter().flat_map(|path| of.in_pytorch(path)).collect(),
            Self::Keras => of.in_keras(),
        };
        recipes.push(own);
        recipes
    }
}

/// A state, and what its name and its neighbours tell of its layer.
struct StateOf<'a> {
    /// The layer's path, with dots.
    layer: String,
    part: &'a str,
    ty: &'a TensorType,
    /// Of a recurrent layer: the number of gates.
    gates: Option<usize>,
}

impl<'a> StateOf<'a> {
    fn new(state: &'a str, states: &'a BTreeMap<String, TensorType>) -> Self {
        let (layer, part) = state.rsplit_once('/').unwrap_or(("", state));
        let recurrent = states.get(&format!("{layer}/recurrent_kernel")).map(|ty| ty.shape.dims());
        let gates = recurrent.and_then(|dims| dims.last()?.checked_div(*dims.first()?));
        Self { layer: layer.replace('/', "."), part, ty: &states[state], gates }
    }

    /// The layer's path, and the same with PyTorch's names of a transformer's parts.
    fn paths(&self) -> Vec<String> {
        let names = [("attention", "self_attn"), ("dense1", "linear1"), ("dense2", "linear2")];
        let part = |part: &'_ str| {
            let other = names.iter().find(|(ours, _)| *ours == part).map(|(_, theirs)| *theirs);
            other.unwrap_or(part).to_string()
        };
        let renamed = self.layer.split('.').map(part).collect::<Vec<_>>().join(".");
        if renamed == self.layer { vec![renamed] } else { vec![renamed, self.layer.clone()] }
    }

    /// In a module at that path.
    fn in_pytorch(&self, path: &str) -> Vec<Recipe> {
        if let Some(gates) = self.gates {
            return self.recurrent(path, gates);
        }
        let (kind, axes) = match self.part {
            "kernel" => ("weight", SourceAxes::OutFirst),
            "gamma" | "embeddings" | "alpha" => ("weight", SourceAxes::Same),
            "bias" | "beta" => ("bias", SourceAxes::Same),
            "moving_mean" => ("running_mean", SourceAxes::Same),
            "moving_variance" => ("running_var", SourceAxes::Same),
            "depthwise_kernel" => ("depthwise.weight", SourceAxes::OutFirst),
            "pointwise_kernel" => ("pointwise.weight", SourceAxes::OutFirst),
            _ => return vec![],
        };
        let one = Recipe::of([dotted(path, kind)], axes);
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        let projections = |names: &[&[&str]]| -> Vec<Recipe> {
            let side_by_side =
                |names: &&[&str]| Recipe::of(names.iter().map(|name| dotted(&dotted(parent, name), kind)), axes);
            names.iter().map(side_by_side).collect()
        };
        let mut recipes = match last {
            "qkv" => {
                let packed = vec![Recipe::of([dotted(parent, &format!("in_proj_{kind}"))], axes)];
                [packed, projections(&[&["query", "key", "value"], &["q_proj", "k_proj", "v_proj"]])].concat()
            }
            "key_value" => projections(&[&["key", "value"], &["k_proj", "v_proj"]]),
            "query" => projections(&[&["q_proj"]]),
            "key" => projections(&[&["k_proj"]]),
            "value" => projections(&[&["v_proj"]]),
            "output" => projections(&[&["out_proj"], &["o_proj"]]),
            _ => vec![],
        };
        recipes.push(one);
        recipes
    }

    /// Of PyTorch's recurrent modules, of one layer, and of their cells.
    fn recurrent(&self, path: &str, gates: usize) -> Vec<Recipe> {
        let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
        let (path, end) = match last.split_once('_') {
            Some(("forward", _)) => (parent, "_l0"),
            Some(("backward", _)) => (parent, "_l0_reverse"),
            _ => (path, "_l0"),
        };
        let recipe = |end: &str| {
            let name = |kind: &str| dotted(path, &format!("{kind}{end}"));
            let recipe = match self.part {
                "kernel" => Recipe::of([name("weight_ih")], SourceAxes::OutFirst),
                "recurrent_kernel" => Recipe::of([name("weight_hh")], SourceAxes::OutFirst),
                "bias" => {
                    let join = if self.ty.shape.rank() == 2 { SourceJoin::Rows } else { SourceJoin::Sum };
                    Recipe { join, ..Recipe::of([name("bias_ih"), name("bias_hh")], SourceAxes::Same) }
                }
                _ => return None,
            };
            Some(Recipe { swap_gates: gates == 3, ..recipe })
        };
        // A unit that resets before the product has one bias, and PyTorch has no such unit.
        let is_known = gates != 3 || self.part != "bias" || self.ty.shape.rank() == 2;
        if is_known { [end, ""].into_iter().filter_map(recipe).collect() } else { vec![] }
    }

    /// Where Keras has it elsewhere, or with other axes.
    fn in_keras(&self) -> Vec<Recipe> {
        let (parent, last) = self.layer.rsplit_once('.').unwrap_or(("", &self.layer));
        let heads = |names: &[&str]| {
            let name = |name: &&str| dotted(&dotted(parent, name), self.part);
            vec![Recipe::of(names.iter().map(name), SourceAxes::Heads)]
        };
        match (last, self.gates) {
            (_, Some(gates)) => {
                let cell = match gates {
                    4 => "lstm_cell",
                    3 => "gru_cell",
                    _ => "simple_rnn_cell",
                };
                vec![Recipe::plain(dotted(&dotted(&self.layer, cell), self.part))]
            }
            ("qkv", _) => heads(&["query", "key", "value"]),
            ("key_value", _) => heads(&["key", "value"]),
            ("query", _) => heads(&["query"]),
            ("key", _) => heads(&["key"]),
            ("value", _) => heads(&["value"]),
            ("output", _) => heads(&["attention_output"]),
            _ => vec![],
        }
    }
}

/// A name within a path, which may be empty.
fn dotted(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}
