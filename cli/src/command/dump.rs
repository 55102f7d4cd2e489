//! `gradc dump`: a model's training step after a pass, as text or as a picture.

use super::print;
use crate::bench::ArenaLimit;
use ::passes::{Module, Stop};
use clap::{Args, ValueEnum};
use gradc::compile::{CompileOptions, run_passes};
use gradc::dsl::{ModelErrors, Step};
use gradc::model::{Functional, Model, Sequential};
use gradc::nn::{
    BatchNorm, Conv2d, Dense, GlobalAvgPool2d, Layer, MeanSquaredError, Metric, Padding, SparseCategoricalCrossEntropy,
};
use gradc::optim::{Adam, Sgd};
use gradc::{dsl, dsl::Tensor};
use std::error::Error;

/// What to print, and of which model.
#[derive(Args)]
pub(super) struct Dump {
    /// The model
    model: BuiltIn,
    /// The pass after which the program is printed (`gradc passes` lists them), or `none` for the step as declared; without it, the last one
    #[arg(long, value_name = "PASS")]
    after: Option<String>,
    /// `text`: the graph, or the loops once it has been lowered. `dot`: the graph for Graphviz. `kernel`: the loops
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Samples in a batch; without it, the model's usual number
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// How large the arena may be: bytes (`64M`) or a part of what it takes otherwise (`60%`)
    #[arg(long, value_name = "BYTES|%")]
    memory_limit: Option<ArenaLimit>,
    /// Show where each node comes from in the source
    #[arg(long)]
    locations: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Dot,
    Kernel,
}

/// The models that come with gradc: those whose speed is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum BuiltIn {
    /// 784-128-10, relu, softmax cross-entropy, SGD; batch 32
    Mlp,
    /// Two convolutions with pooling, dense 10, Adam: reads digits; batch 32
    Cnn,
    /// 784-10, softmax cross-entropy, SGD; batch 256
    Logreg,
    /// 4-16-16-2, tanh, mean squared error, Adam; batch 8
    #[value(name = "mlp_tiny")]
    MlpTiny,
    /// ResNet-8 for 32x32 colour images, SGD with momentum; batch 32
    Resnet,
}

impl BuiltIn {
    /// All of them, as they are called.
    pub(super) fn names() -> Vec<String> {
        Self::value_variants().iter().filter_map(|m| Some(m.to_possible_value()?.get_name().to_owned())).collect()
    }

    /// Samples in a batch, unless somebody asks for another number.
    pub(super) fn batch(self) -> usize {
        match self {
            Self::Logreg => 256,
            Self::MlpTiny => 8,
            Self::Mlp | Self::Cnn | Self::Resnet => 32,
        }
    }

    fn model(self) -> Box<dyn Model> {
        match self {
            Self::Mlp => Box::new(Sequential::new([784]).dense(128).relu().dense(10).named("mlp")),
            Self::Cnn => {
                let model = Sequential::new([28, 28, 1]).conv2d(32, 3).relu().max_pool2d(2).conv2d(64, 3).relu();
                Box::new(model.max_pool2d(2).flatten().dense(10).named("cnn"))
            }
            Self::Logreg => Box::new(Sequential::new([784]).dense(10).named("logreg")),
            Self::MlpTiny => {
                Box::new(Sequential::new([4]).dense(16).tanh().dense(16).tanh().dense(2).named("mlp_tiny"))
            }
            Self::Resnet => Box::new(Functional::new(dsl::f32([32, 32, 3]), resnet8).named("resnet")),
        }
    }

    /// The training step.
    pub(super) fn step(self, batch: usize) -> Result<Step, ModelErrors> {
        let (entropy, sgd, adam) = (SparseCategoricalCrossEntropy, Sgd::new(0.01), Adam::default());
        let model = self.model();
        match self {
            Self::Mlp | Self::Logreg => model.training_graph(batch, &entropy, &[], &sgd),
            Self::Cnn => model.training_graph(batch, &entropy, &[Metric::Accuracy], &adam),
            Self::MlpTiny => model.training_graph(batch, &MeanSquaredError, &[], &adam),
            Self::Resnet => model.training_graph(batch, &entropy, &[], &sgd.momentum(0.9)),
        }
    }

    /// The step of prediction.
    pub(super) fn inference(self, batch: usize) -> Result<Step, ModelErrors> {
        self.model().inference_graph(batch)
    }
}

/// ResNet-8: a convolution, three stages of one residual block each, the mean over the image, a dense layer (He et al., arXiv 1512.03385).
fn resnet8(x: &Tensor) -> Tensor {
    let conv = |x: &Tensor, filters: usize, size: usize, stride: usize| {
        let conv = Conv2d::new(filters, size).padding(Padding::Same).stride(stride).use_bias(false).apply(x);
        BatchNorm::new().apply(&conv)
    };
    let mut x = conv(x, 16, 3, 1).relu();
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = conv(&conv(&x, filters, 3, stride).relu(), filters, 3, 1);
        let shortcut = if stride == 1 { x.clone() } else { conv(&x, filters, 1, stride) };
        x = (y + shortcut).relu();
    }
    Dense::new(10).apply(&GlobalAvgPool2d.apply(&x))
}

impl Dump {
    pub(super) fn run(&self) -> Result<(), Box<dyn Error>> {
        print(&self.text()?)
    }

    fn text(&self) -> Result<String, Box<dyn Error>> {
        let step = self.model.step(self.batch.unwrap_or(self.model.batch()))?;
        let stop = match self.after.as_deref() {
            None => Stop::End,
            Some("none") => Stop::AfterCount(0),
            Some(name) => Stop::AfterPass(name.into()),
        };
        let mut options = CompileOptions::default();
        if let Some(limit) = self.memory_limit {
            options = limit.apply(&step.graph, options)?;
        }
        let module = run_passes(step.graph, &options, stop)?.module;
        match (self.format, &module) {
            (Format::Dot, Module::Graph(graph)) => Ok(ir::dot::to_dot(graph)),
            (Format::Dot, Module::Program(_)) => {
                Err("loops have no picture: choose a pass before `lower`, or `--format text`".into())
            }
            (Format::Kernel, Module::Graph(_)) => {
                Err("there are no loops yet: choose `lower` or a pass after it, or `--format text`".into())
            }
            (Format::Text, Module::Graph(graph)) => Ok(graph.display().locations(self.locations).to_string()),
            (Format::Text | Format::Kernel, Module::Program(_)) => Ok(module.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(model: BuiltIn, after: Option<&str>, format: Format) -> Result<String, String> {
        let dump =
            Dump { model, after: after.map(String::from), format, batch: None, memory_limit: None, locations: false };
        dump.text().map_err(|e| e.to_string())
    }

    #[test]
    fn every_model_is_a_graph_that_parses() {
        for model in BuiltIn::value_variants() {
            let text = dump(*model, Some("none"), Format::Text).unwrap();
            assert_eq!(ir::Graph::parse(&text).unwrap().to_string(), text, "{model:?}");
        }
    }

    #[test]
    fn formats_go_with_stages() {
        let tiny = BuiltIn::MlpTiny;
        assert!(dump(tiny, Some("fuse"), Format::Text).unwrap().contains(" @0"));
        assert!(dump(tiny, Some("fuse"), Format::Dot).unwrap().starts_with("digraph"));
        assert!(dump(tiny, None, Format::Kernel).unwrap().contains("kernel"));
        assert!(dump(tiny, None, Format::Dot).is_err());
        assert!(dump(tiny, Some("dce"), Format::Kernel).is_err());
        assert!(dump(tiny, Some("no_such_pass"), Format::Text).unwrap_err().contains("autodiff"));
    }
}
