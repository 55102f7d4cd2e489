//! The summary of a model: a table like Keras's.

use crate::dsl::{StateRole, StateSpec, Step};
use std::fmt;

/// A layer in the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SummaryRow {
    /// The layer's name, a path where it is in another one: `encoder/dense`.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The extents without the batch of its (first) result, where it is applied first.
    pub output: Vec<usize>,
    /// The number of elements of its states, those of layers in it included.
    pub parameters: usize,
    /// How often it is applied. Its states are counted once.
    pub uses: usize,
}

/// Layers, output shapes, numbers of parameters. Prints as a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The layers in the order in which they are applied first, each once, before those in it.
    pub rows: Vec<SummaryRow>,
    /// Elements of trainable parameters.
    pub trainable: usize,
    /// Elements of states that are not trained (running statistics).
    pub non_trainable: usize,
}

impl Summary {
    /// Of a model's graph for prediction.
    pub(super) fn new(model: &str, step: &Step) -> Self {
        let is_counted = |state: &&StateSpec| state.role.is_weight();
        let count = |role: StateRole| -> usize {
            step.states.iter().filter(|state| state.role == role).map(|state| state.ty.shape.numel()).sum()
        };
        let rows = step.layers.iter().map(|layer| SummaryRow {
            name: layer.name.clone(),
            kind: layer.kind.clone(),
            output: layer.outputs.first().map_or_else(Vec::new, |ty| ty.shape.iter().skip(1).copied().collect()),
            parameters: {
                let states = layer.states.iter().filter_map(|&state| step.states.get(state));
                states.filter(is_counted).map(|state| state.ty.shape.numel()).sum()
            },
            uses: layer.uses,
        });
        Self {
            model: model.into(),
            rows: rows.collect(),
            trainable: count(StateRole::Parameter),
            non_trainable: count(StateRole::Buffer),
        }
    }

    /// Elements of all states.
    pub fn total(&self) -> usize {
        self.trainable + self.non_trainable
    }
}

/// `12345` as `12,345`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["Layer (type)".to_string(), "Output Shape".to_string(), "Param #".to_string()];
        let mut table = vec![head];
        for row in &self.rows {
            let dims: String = row.output.iter().map(|d| format!(", {d}")).collect();
            let uses = if row.uses > 1 { format!(" x{}", row.uses) } else { String::new() };
            table.push([
                format!("{} ({}){uses}", row.name, row.kind),
                format!("(None{dims})"),
                grouped(row.parameters),
            ]);
        }
        let width = |column: usize| table.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let [a, b, c] = [width(0), width(1), width(2)];
        let rule = |left: char, cross: char, right: char, line: &str| {
            let [a, b, c] = [a, b, c].map(|w| line.repeat(w + 2));
            format!("{left}{a}{cross}{b}{cross}{c}{right}")
        };
        writeln!(f, "Model: {:?}", self.model)?;
        writeln!(f, "{}", rule('┌', '┬', '┐', "─"))?;
        for (i, [name, shape, parameters]) in table.iter().enumerate() {
            writeln!(f, "│ {name:<a$} │ {shape:<b$} │ {parameters:>c$} │")?;
            if i == 0 {
                writeln!(f, "{}", rule('├', '┼', '┤', "─"))?;
            }
        }
        writeln!(f, "{}", rule('└', '┴', '┘', "─"))?;
        writeln!(f, "Total params: {}", grouped(self.total()))?;
        writeln!(f, "Trainable params: {}", grouped(self.trainable))?;
        write!(f, "Non-trainable params: {}", grouped(self.non_trainable))
    }
}
