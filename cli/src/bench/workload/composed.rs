//! The workloads' models and steps that are no chain of layers: many inputs joined, two networks against each other, one in half precision.

use super::train::CLASSES;
use gradc::dsl::{GraphBuilder, ModelErrors, Step, Tensor, bf16, f32};
use gradc::model::{Functional, Sequential};
use gradc::nn::{Activation, Dense, Layer, LayerId, binary_cross_entropy};
use gradc::optim::Adam;
use ir::DType;

/// How many inputs are joined, and the features of each.
const INPUTS: (usize, usize) = (16, 32);
/// The numbers that a picture is made from.
const LATENT: usize = 64;
/// The pixels of a picture.
const PIXELS: usize = 784;

/// Each input through a dense layer of its own, all results side by side through two more.
pub(super) fn joined() -> Functional {
    let names: Vec<String> = (0..INPUTS.0).map(|i| format!("x{i}")).collect();
    let inputs = names.iter().map(|name| (name.as_str(), f32([INPUTS.1])));
    Functional::with_inputs(inputs, |inputs| {
        let relu = |units: usize| Dense::new(units).activation(Activation::Relu);
        let parts: Vec<Tensor> = inputs.iter().map(|x| relu(64).apply(x)).collect();
        let joined = parts[0].concat(&parts[1..].iter().collect::<Vec<_>>(), -1);
        Dense::new(CLASSES).apply(&relu(256).apply(&joined))
    })
}

/// A step of a generative adversarial network (Goodfellow et al., arXiv 1406.2661, with the generator's loss that doesn't saturate): both networks are
/// updated by gradients at the same weights. Inputs: pictures `x [batch, 784]` and numbers `z [batch, 64]`; output `loss`, the sum of both losses.
pub(super) fn adversarial(batch: usize) -> Result<Step, ModelErrors> {
    let g = GraphBuilder::new("gan_training");
    g.set_training(true);
    let (real, z) = (g.input("x", f32([batch, PIXELS])), g.input("z", f32([batch, LATENT])));
    let dense = |name: &str, units: usize| Dense::new(units).name(name);
    let hidden = dense("generator_hidden", 256).activation(Activation::Relu).apply(&z);
    let fake = dense("generator_output", PIXELS).activation(Activation::Tanh).apply(&hidden);
    let made = g.parameters().len();
    // Real and made pictures in one batch: the discriminator's weights are declared once.
    let both = real.concat(&[&fake], 0);
    let hidden = dense("discriminator_hidden", 256).activation(Activation::LeakyRelu(0.2)).apply(&both);
    let logits = dense("discriminator_output", 1).apply(&hidden);
    let (on_real, on_fake) = (logits.slice_axis(0, 0..batch), logits.slice_axis(0, batch..2 * batch));
    let loss = |logits: &Tensor, target: f64| {
        let target = g.full(target, f32([batch, 1]));
        binary_cross_entropy(logits, &target).mean()
    };
    let discriminator = loss(&on_real, 1.0) + loss(&on_fake, 0.0);
    let generator = loss(&on_fake, 1.0);
    g.output("loss", &(&discriminator + &generator));
    let parameters: Vec<Tensor> = g.parameters().into_iter().map(|(_, p)| p).collect();
    let (of_generator, of_discriminator) = parameters.split_at(made);
    let mut gradients = g.gradients(&generator, &of_generator.iter().collect::<Vec<_>>());
    gradients.extend(g.gradients(&discriminator, &of_discriminator.iter().collect::<Vec<_>>()));
    g.apply_gradients(gradients.into_iter().zip(parameters), &Adam::new(2e-4).betas(0.5, 0.999));
    g.finish()
}

/// Dense layers whose weights and values are `bf16`; the loss is computed from `f32`.
pub(super) fn half(widths: &[usize]) -> Sequential {
    let hidden = widths[1..widths.len() - 1].iter();
    let model = hidden.fold(Sequential::of(bf16([widths[0]])), |model, &units| {
        model.add(Dense::new(units).activation(Activation::Relu))
    });
    model.dense(widths[widths.len() - 1]).add(Widened)
}

/// Its input as `f32`.
struct Widened;

impl Layer for Widened {
    fn base(&self) -> &str {
        "widened"
    }

    fn kind(&self) -> &str {
        "Widened"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        x.cast(DType::F32)
    }
}
