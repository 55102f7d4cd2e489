//! Looks for NaN and infinite numbers in a step that was compiled with checks, and for the op that made the first.
//!
//! The pass `check_numerics` has the step leave the greatest magnitude of each buffer that its kernels write. Those are looked at after each run; only if one isn't finite does the rest
//! begin, which takes as long as it may: the states, of which a copy was kept, are put back, and the step runs again in pieces (`locate`).

mod fault;
mod locate;

pub use fault::{NumericsFault, OperandRange, ValueRange};

use super::values::{Elements, first, is_finite, with_input};
use super::{CompileError, CompileOptions, RunError};
use crate::dsl::{StateRole, Step};
use ir::{DType, Data, TensorType, Value, try_map_of};
use passes::check_numerics::{INFINITY, INFINITY_F64, MAGNITUDES, MAGNITUDES_F64};
use runtime::{Executable, PortError, PortKind, States};
use std::collections::{BTreeMap, BTreeSet};

/// What a program needs to look at the numbers of its steps.
pub(super) struct NumericsCheck {
    step: Step,
    options: CompileOptions,
    /// The states that a step changes, as they were before it.
    kept: States,
    /// The factors of losses that are scaled: states, with their types.
    scales: Vec<(String, DType)>,
    /// Which outputs of magnitudes there are.
    outputs: PerOutput<bool>,
    /// The buffers that were infinite and nobody's fault.
    excused: PerOutput<BTreeSet<usize>>,
}

/// Something for both outputs of magnitudes.
#[derive(Default)]
struct PerOutput<T> {
    of_f32: T,
    of_f64: T,
}

/// What a step's magnitudes show: those that are beyond all finite numbers, and whether one is of NaN.
#[derive(Default)]
struct FoundMagnitudes {
    of_f32: Vec<usize>,
    of_f64: Vec<usize>,
    nan: bool,
}

impl NumericsCheck {
    pub(super) fn new(step: &Step, executable: &Executable, options: &CompileOptions) -> Result<Self, CompileError> {
        let changed = step.states.iter().filter(|state| step.graph.update(&state.name).is_some());
        let sizes = changed.map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
        let is_scale = |role, name: &str| role == StateRole::Runtime && name.ends_with(LOSS_SCALE);
        let scales = step.states.iter().filter(|state| is_scale(state.role, &state.name));
        let has = |name: &str| executable.ports().any(|port| port.kind == PortKind::Output && port.name == name);
        Ok(Self {
            step: step.clone(),
            options: options.clone(),
            kept: States::new(sizes)?,
            scales: scales.map(|state| (state.name.clone(), state.ty.dtype)).collect(),
            outputs: PerOutput { of_f32: has(MAGNITUDES), of_f64: has(MAGNITUDES_F64) },
            excused: PerOutput::default(),
        })
    }

    /// Copies the states that the step to come changes.
    pub(super) fn keep(&mut self, executable: &Executable) {
        if let Some(states) = executable.states() {
            self.kept.copy_from(states);
        }
    }

    /// Looks at what the step has computed.
    ///
    /// # Errors
    /// If there was NaN, or an infinite number of finite ones; the states are those from before the step then.
    pub(super) fn look(&mut self, executable: &mut Executable) -> Result<(), RunError> {
        let found = self.find(executable)?;
        if found.of_f32.is_empty() && found.of_f64.is_empty() || self.was_scaled_too_much(executable)? {
            return Ok(());
        }
        let after = (!found.nan).then(|| self.copy_of(executable)).transpose()?;
        if let Some(states) = executable.states_mut() {
            states.copy_from(&self.kept);
        }
        let inputs = self.inputs(executable)?;
        let fault = locate::locate(&self.step, &self.options, executable.states(), &inputs);
        match fault.map_err(|why| RunError::NotFiniteSomewhere { why })? {
            Some(fault) => Err(RunError::NotFinite(Box::new(fault))),
            None => self.excuse(executable, found, after),
        }
    }

    /// The magnitudes that aren't of finite numbers, but for those that have been excused.
    fn find(&self, executable: &Executable) -> Result<FoundMagnitudes, RunError> {
        let mut found = FoundMagnitudes::default();
        if self.outputs.of_f32 {
            for (at, &bits) in executable.output::<i32>(MAGNITUDES)?.iter().enumerate().filter(|(_, b)| **b >= INFINITY)
            {
                if bits > INFINITY || !self.excused.of_f32.contains(&at) {
                    found.of_f32.push(at);
                    found.nan |= bits > INFINITY;
                }
            }
        }
        if self.outputs.of_f64 {
            let bits = executable.output::<i64>(MAGNITUDES_F64)?.iter().enumerate();
            for (at, &bits) in bits.filter(|(_, bits)| **bits >= INFINITY_F64) {
                if bits > INFINITY_F64 || !self.excused.of_f64.contains(&at) {
                    found.of_f64.push(at);
                    found.nan |= bits > INFINITY_F64;
                }
            }
        }
        Ok(found)
    }

    /// Whether the optimizer has found by itself that gradients overflowed, and makes the loss's factor smaller: what it computed of them goes nowhere. Only if all that the step gives is
    /// finite.
    fn was_scaled_too_much(&self, executable: &Executable) -> Result<bool, RunError> {
        let Some(states) = executable.states() else { return Ok(false) };
        let mut smaller = false;
        for (name, dtype) in self.scales.iter().filter(|(name, dtype)| self.kept.holds(name, *dtype, 1)) {
            smaller |= first(states, name, *dtype)? < first(&self.kept, name, *dtype)?;
        }
        if !smaller {
            return Ok(false);
        }
        let outputs = self.step.graph.outputs().iter();
        let finite = outputs.map(|(name, id)| is_finite(&**executable, name, self.step.graph.ty(*id).dtype));
        Ok(finite.collect::<Result<Vec<bool>, _>>()?.into_iter().all(|finite| finite))
    }

    /// The states that the step has changed, as they are after it.
    fn copy_of(&self, executable: &Executable) -> Result<States, RunError> {
        let mut copy = States::new(self.kept.iter().map(|(name, dtype, len)| (name.into(), dtype, len)));
        if let (Ok(copy), Some(states)) = (&mut copy, executable.states()) {
            copy.copy_from(states);
        }
        copy.map_err(|e| RunError::NotFiniteSomewhere { why: e.to_string() })
    }

    /// Infinite numbers that a model uses on purpose: the same buffers may have them from now on, and the step counts.
    fn excuse(
        &mut self,
        executable: &mut Executable,
        found: FoundMagnitudes,
        after: Option<States>,
    ) -> Result<(), RunError> {
        let Some(after) = after else {
            let why = "run again op by op, there is no NaN: it is a matter of rounding".into();
            return Err(RunError::NotFiniteSomewhere { why });
        };
        if let Some(states) = executable.states_mut() {
            states.copy_from(&after);
        }
        self.excused.of_f32.extend(found.of_f32);
        self.excused.of_f64.extend(found.of_f64);
        Ok(())
    }

    /// What the program's inputs hold.
    fn inputs(&self, executable: &mut Executable) -> Result<BTreeMap<String, Value>, RunError> {
        try_map_of(self.step.graph.inputs().map(|(_, input)| {
            let value = input_value(executable, &input.name, &input.ty)?;
            Ok((input.name.clone(), value))
        }))
    }
}

/// How the names of states end that are factors of losses.
const LOSS_SCALE: &str = "/loss_scale";

/// The elements of an input as a tensor.
fn input_value(executable: &mut Executable, name: &str, ty: &TensorType) -> Result<Value, RunError> {
    let mut data = None;
    with_input(&mut executable.inputs(), name, ty, |elements| {
        data = Some(match elements {
            Elements::F32(v) => Data::F32(v.to_vec()),
            Elements::F64(v) => Data::F64(v.to_vec()),
            Elements::I64(v) => Data::I64(v.to_vec()),
            Elements::I32(v) => Data::I32(v.to_vec()),
            Elements::I16(v) => Data::I16(v.to_vec()),
            Elements::U64(v) => Data::U64(v.to_vec()),
            Elements::U32(v) => Data::U32(v.to_vec()),
            Elements::SignedByte(v) => Data::I8(v.to_vec()),
            Elements::Byte(v) => Data::from_bytes(ty.dtype, v),
            Elements::Bits16(v) => {
                Data::from_bytes(ty.dtype, &v.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<_>>())
            }
        });
        Ok::<(), PortError>(())
    })?;
    let value = data.and_then(|data| Value::new(ty.clone(), data).ok());
    value.ok_or_else(|| RunError::NotFiniteSomewhere { why: format!("input `{name}` can't be read") })
}
