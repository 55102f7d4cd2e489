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
    /// Counters of batches and ids of positions are left out. Written, a state has the first of several names, and `bias_ih_l0` all of a bias.
    PyTorch,
    /// As Keras 3 calls its variables' paths. Axes and gates lie as they do here, but attention's kernels are `query/kernel [width, heads, size]` and so on and
    /// `attention_output/kernel [heads, size, width]`, and recurrent layers' names have their cell's in them: `lstm/lstm_cell/kernel`. A `:0` at the end of a name isn't looked at,
    /// and states of random generators are left out. From a model of Keras: `numpy.savez(file, **{v.path: v.numpy() for v in model.weights})`.
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
        match self {
            Self::Gradc => false,
            Self::PyTorch => ["num_batches_tracked", "position_ids"].contains(&last),
            Self::Keras => last.strip_suffix(":0").unwrap_or(last) == "seed_generator_state",
        }
    }

    /// A name, in the form in which names are compared, as it is written.
    pub(super) fn written(self, name: &str) -> String {
        if self == Self::PyTorch { name.into() } else { name.replace('.', "/") }
    }

    /// Whether a state is a part of a layer that nobody there has.
    pub(super) fn lacks(self, state: &str, states: &BTreeMap<String, TensorType>) -> bool {
        let of = StateOf::new(state, states);
        self == Self::PyTorch && of.gates.is_some_and(|gates| of.in_pytorch_recurrent(&of.layer, gates).is_empty())
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
    states: &'a BTreeMap<String, TensorType>,
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
        Self { states, layer: layer.replace('/', "."), part, ty: &states[state], gates }
    }

    /// The type of the kernel of another layer beside this one's `parent`, if there is one.
    fn kernel_in(&self, parent: &str, layer: &str) -> Option<&'a TensorType> {
        self.states.get(&format!("{}/kernel", dotted(parent, layer).replace('.', "/")))
    }

    /// How many features the queries of all heads have, if the layer is a part of attention.
    fn queries(&self) -> Option<usize> {
        let (parent, _) = split_last(&self.layer);
        let is_attention = ["qkv", "query"].iter().any(|layer| self.kernel_in(parent, layer).is_some());
        self.kernel_in(parent, "output").filter(|_| is_attention)?.shape.dims().first().copied()
    }

    /// The layer's path, and the same with PyTorch's names of a transformer's parts.
    fn paths(&self) -> Vec<String> {
        let names = [("attention", "self_attn"), ("dense1", "linear1"), ("dense2", "linear2")];
        let mut before = String::new();
        let part = |part: &'_ str| {
            let is_block = names[1..].iter().all(|(ours, _)| self.kernel_in(&before, ours).is_some());
            let other = names.iter().find(|(ours, _)| is_block && *ours == part).map(|(_, theirs)| *theirs);
            before = dotted(&before, part);
            other.unwrap_or(part).to_string()
        };
        let renamed = self.layer.split('.').map(part).collect::<Vec<_>>().join(".");
        if renamed == self.layer { vec![renamed] } else { vec![renamed, self.layer.clone()] }
    }

    /// In a module at that path.
    fn in_pytorch(&self, path: &str) -> Vec<Recipe> {
        if let Some(gates) = self.gates {
            return self.in_pytorch_recurrent(path, gates);
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
        let one = Recipe { depthwise: self.part == "depthwise_kernel", ..Recipe::of([dotted(path, kind)], axes) };
        let (parent, last) = split_last(path);
        let Some(queries) = self.queries() else { return vec![one] };
        let projections = |names: &[&[&str]]| -> Vec<Recipe> {
            let side_by_side =
                |names: &&[&str]| Recipe::of(names.iter().map(|name| dotted(&dotted(parent, name), kind)), axes);
            names.iter().map(side_by_side).collect()
        };
        let mut recipes = match last {
            "qkv" => {
                let packed = Recipe::of([dotted(parent, &format!("in_proj_{kind}"))], axes);
                let same = self.ty.shape.dims().last() == Some(&(3 * queries));
                let apart = projections(&[&["q_proj", "k_proj", "v_proj"], &["query", "key", "value"]]);
                same.then_some(packed).into_iter().chain(apart).collect()
            }
            "key_value" => projections(&[&["k_proj", "v_proj"], &["key", "value"]]),
            "query" => projections(&[&["q_proj"]]),
            "key" => projections(&[&["k_proj"]]),
            "value" => projections(&[&["v_proj"]]),
            "output" => projections(&[&["out_proj"], &["o_proj"]]),
            _ => vec![],
        };
        recipes.push(one);
        recipes.into_iter().map(|recipe| Recipe { queries: Some(queries), ..recipe }).collect()
    }

    /// Of PyTorch's recurrent modules, of one layer, and of their cells.
    fn in_pytorch_recurrent(&self, path: &str, gates: usize) -> Vec<Recipe> {
        let (parent, last) = split_last(path);
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
        if let Some(gates) = self.gates {
            let cell = match gates {
                4 => "lstm_cell",
                3 => "gru_cell",
                _ => "simple_rnn_cell",
            };
            return vec![Recipe::plain(dotted(&dotted(&self.layer, cell), self.part))];
        }
        let Some(queries) = self.queries() else { return vec![] };
        let (parent, last) = split_last(&self.layer);
        let heads = |names: &[&str]| {
            let name = |name: &&str| dotted(&dotted(parent, name), self.part);
            vec![Recipe { queries: Some(queries), ..Recipe::of(names.iter().map(name), SourceAxes::Heads) }]
        };
        match last {
            "qkv" => heads(&["query", "key", "value"]),
            "key_value" => heads(&["key", "value"]),
            "query" => heads(&["query"]),
            "key" => heads(&["key"]),
            "value" => heads(&["value"]),
            "output" => heads(&["attention_output"]),
            _ => vec![],
        }
    }
}

/// A path's parent, which may be empty, and its last name.
fn split_last(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// A name within a path, which may be empty.
fn dotted(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}
