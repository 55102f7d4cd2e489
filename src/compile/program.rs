//! A compiled step with its memory.

use super::indices::IndexedInputs;
use super::numerics::NumericsCheck;
use super::ports::{PortAccess, PortTypes, find};
use super::values::{first, read, write, write_float, write_initial};
use super::{CompileError, CompileOptions, CompileReport, RunError, StepOutputs};
use crate::data::ArrayView;
use crate::dsl::{StateRole, StateSpec, Step, zeros};
use ir::{DType, Shape, TensorType, Value, map_of, try_map_of};
use kernel::{Buffer, BufferKind};
use runtime::{Element, Executable, PortError, PortKind, PortMemory, ProgramInputs, Refused, States};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A step as native code, with its states, inputs and outputs in memory. Running it allocates nothing.
pub struct CompiledProgram {
    executable: Executable,
    types: PortTypes,
    states: Vec<StateSpec>,
    indexed: IndexedInputs,
    /// What looks at the numbers, if that was asked for.
    numerics: Option<Box<NumericsCheck>>,
    report: CompileReport,
}

impl std::fmt::Debug for CompiledProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |ports: &BTreeMap<String, TensorType>| {
            ports.iter().map(|(name, ty)| format!("{name}: {ty}")).collect::<Vec<_>>().join(", ")
        };
        write!(f, "CompiledProgram({} -> {}, {})", names(&self.types.inputs), names(&self.types.outputs), self.report)
    }
}

impl CompiledProgram {
    pub(super) fn new(
        step: &Step,
        executable: Executable,
        report: CompileReport,
        options: &CompileOptions,
    ) -> Result<Self, CompileError> {
        let graph = &step.graph;
        let numerics = options.passes.check_numerics.then(|| NumericsCheck::new(step, &executable, options));
        Ok(Self {
            executable,
            types: PortTypes {
                inputs: map_of(graph.inputs().map(|(_, input)| (input.name.clone(), input.ty.clone()))),
                outputs: map_of(graph.outputs().iter().map(|(name, id)| (name.clone(), graph.ty(*id).clone()))),
            },
            states: step.states.clone(),
            indexed: IndexedInputs::of(graph),
            numerics: numerics.transpose()?.map(Box::new),
            report,
        })
    }

    /// Of loops with these buffers.
    pub(super) fn of_loops(buffers: &[Buffer], executable: Executable, report: CompileReport) -> Self {
        let (mut types, mut states) = (PortTypes::default(), vec![]);
        for buffer in buffers {
            let Ok(shape) = Shape::new([buffer.len]) else { continue };
            let ty = TensorType::new(buffer.dtype, shape);
            match &buffer.kind {
                BufferKind::Input { name } => drop(types.inputs.insert(name.clone(), ty)),
                BufferKind::Output { name } => drop(types.outputs.insert(name.clone(), ty)),
                BufferKind::State { name } => {
                    states.push(StateSpec { name: name.clone(), ty, init: zeros(), role: StateRole::Buffer });
                }
                BufferKind::Temp | BufferKind::Next { .. } | BufferKind::Constant { .. } => {}
            }
        }
        Self { executable, types, states, indexed: IndexedInputs::default(), numerics: None, report }
    }

    /// Runs one step on the given inputs and gives the outputs, in memory of their own. [`Self::run_on`] allocates nothing.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another type; a check that failed in the step.
    pub fn run<'a, K: AsRef<str>>(
        &mut self,
        inputs: impl IntoIterator<Item = (K, &'a Value)>,
    ) -> Result<BTreeMap<String, Value>, RunError> {
        let mut given = Vec::new();
        for (name, value) in inputs {
            self.set_input(name.as_ref(), value)?;
            given.push(name.as_ref().to_string());
        }
        if let Some((name, ty)) = self.types.inputs.iter().find(|(name, _)| !given.contains(name)) {
            return Err(RunError::Missing { name: name.clone(), ty: ty.clone() });
        }
        self.step()?;
        try_map_of(self.types.outputs.keys().map(|name| Ok((name.clone(), self.output_value(name)?))))
    }

    /// Runs one step on elements that the caller keeps; the outputs are read where the step wrote them, or copied into the caller's memory. Allocates nothing. (Who can make
    /// an input's elements in place writes to [`Self::input_mut`] and calls [`Self::step`]: not a byte is copied then.)
    ///
    /// ```
    /// use gradc::compile::CompileOptions;
    /// use gradc::dsl::{GraphBuilder, f32};
    /// let g = GraphBuilder::new("rows");
    /// g.output("sums", &g.input("x", f32([2, 3])).sum_axes([1]));
    /// let mut program = g.finish()?.compile(&CompileOptions::default())?;
    /// let (x, mut sums) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0f32; 2]);
    /// program.run_on(&[("x", (&x).into())])?.copy_to("sums", &mut sums)?;
    /// assert_eq!(sums, [6.0, 15.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An input that is missing, unknown, of another element type or number of elements; a check that failed in the step.
    pub fn run_on(&mut self, inputs: &[(&str, ArrayView<'_>)]) -> Result<StepOutputs<'_>, RunError> {
        for (name, elements) in inputs {
            self.copy_in(name, *elements)?;
        }
        let is_given = |name: &str| inputs.iter().any(|(given, _)| *given == name);
        if let Some((name, ty)) = self.types.inputs.iter().find(|(name, _)| !is_given(name)) {
            return Err(RunError::Missing { name: name.clone(), ty: ty.clone() });
        }
        self.step()?;
        Ok(StepOutputs::of(self))
    }

    /// Copies elements into an input.
    fn copy_in(&mut self, name: &str, elements: ArrayView<'_>) -> Result<(), RunError> {
        let executable = &mut self.executable;
        match elements {
            ArrayView::F32(v) => executable.write_input(name, v),
            ArrayView::F64(v) => executable.write_input(name, v),
            ArrayView::I64(v) => executable.write_input(name, v),
            ArrayView::I32(v) => executable.write_input(name, v),
            ArrayView::U8(v) => executable.write_input(name, v),
            ArrayView::I16(v) => executable.write_input(name, v),
            ArrayView::I8(v) => executable.write_input(name, v),
            ArrayView::U64(v) => executable.write_input(name, v),
            ArrayView::U32(v) => executable.write_input(name, v),
            ArrayView::U16(v) => executable.write_input(name, v),
            ArrayView::Bool(v) => executable.fill_truth(name, |bytes| match bytes.len() == v.len() {
                true => {
                    bytes.iter_mut().zip(v).for_each(|(byte, truth)| *byte = u8::from(*truth));
                    Ok(())
                }
                false => {
                    let (kind, name, expected) = (PortKind::Input, name.to_string(), bytes.len());
                    Err(PortError::WrongLength { kind, name, expected, found: v.len() })
                }
            }),
            ArrayView::Value(value) => return self.set_input(name, value),
        }?;
        Ok(())
    }

    /// Runs one step on what the inputs hold.
    ///
    /// # Errors
    /// A check that failed, with the place in the user's source, and the element of an input if it is to blame; outputs and states are undefined then.
    pub fn step(&mut self) -> Result<(), RunError> {
        let Self { executable, numerics, .. } = self;
        if let Some(check) = numerics {
            check.keep(executable);
        }
        executable.step().map_err(|error| self.indexed.explain(executable, error))?;
        match numerics {
            Some(check) => check.look(executable),
            None => Ok(()),
        }
    }

    /// The inputs by name, with their types.
    pub fn inputs(&self) -> &BTreeMap<String, TensorType> {
        &self.types.inputs
    }

    /// The outputs by name, with their types.
    pub fn outputs(&self) -> &BTreeMap<String, TensorType> {
        &self.types.outputs
    }

    /// The states, in the order of their declaration.
    pub fn states(&self) -> &[StateSpec] {
        &self.states
    }

    /// What compiling did and took.
    pub fn report(&self) -> &CompileReport {
        &self.report
    }

    /// The code with its memory, for measuring.
    pub fn executable_mut(&mut self) -> &mut Executable {
        &mut self.executable
    }

    /// The elements of an input, to write in place.
    ///
    /// # Errors
    /// If there is no such input, its elements are no `T`, or they are truth values (see [`Self::set_input`]).
    pub fn input_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], PortError> {
        self.executable.input_mut(name)
    }

    /// Copies a tensor into an input.
    ///
    /// # Errors
    /// If there is no such input, or it has another type.
    pub fn set_input(&mut self, name: &str, value: &Value) -> Result<(), RunError> {
        let ty = self.types.input(name)?;
        write(&mut self.executable.inputs(), name, ty, value)
    }

    /// The elements of an output, as the last step left them.
    ///
    /// # Errors
    /// If there is no such output, or its elements are no `T`.
    pub fn output<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.executable.output(name)
    }

    /// An output as a tensor of its own.
    ///
    /// # Errors
    /// If there is no such output.
    pub fn output_value(&self, name: &str) -> Result<Value, RunError> {
        self.read_output(name)
    }

    /// The first element of a float output, widened: a loss, a metric.
    ///
    /// # Errors
    /// If there is no such output, or it is no `f32` or `f64`.
    pub fn scalar(&self, name: &str) -> Result<f64, PortError> {
        let dtype = self.types.outputs.get(name).map(|ty| ty.dtype).filter(|dtype| dtype.is_float());
        first(&*self.executable, name, dtype.unwrap_or(DType::F32))
    }

    /// The elements of a state.
    ///
    /// # Errors
    /// If there is no such state, or its elements are no `T`.
    pub fn state<T: Element>(&self, name: &str) -> Result<&[T], PortError> {
        self.executable.state(name)
    }

    /// A state as a tensor of its own.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn state_value(&self, name: &str) -> Result<Value, RunError> {
        let ty = self.state_type(name)?;
        read(self.executable.states().ok_or_else(|| no_states(name))?, name, ty)
    }

    /// The first element of a state, widened, without an allocation.
    pub(crate) fn state_number(&self, name: &str) -> Result<f64, RunError> {
        let dtype = self.state_type(name)?.dtype;
        Ok(first(self.executable.states().ok_or_else(|| no_states(name))?, name, dtype)?)
    }

    /// Writes a state that is one float, without an allocation.
    pub(crate) fn set_state_number(&mut self, name: &str, number: f64) -> Result<(), RunError> {
        let dtype = self.state_type(name)?.dtype;
        Ok(write_float(self.executable.states_mut().ok_or_else(|| no_states(name))?, name, dtype, number)?)
    }

    /// Copies a tensor into a state.
    ///
    /// # Errors
    /// If there is no such state, or it has another type.
    pub fn set_state(&mut self, name: &str, value: &Value) -> Result<(), RunError> {
        let ty = self.state_type(name)?.clone();
        write(self.executable.states_mut().ok_or_else(|| no_states(name))?, name, &ty, value)
    }

    /// Copies tensors into states: the weights of a trained model, for instance, into another program of it. States that aren't named stay as they are.
    ///
    /// # Errors
    /// As [`Self::set_state`]; the states before it are set then.
    pub fn set_states<'a, K: AsRef<str>>(
        &mut self,
        values: impl IntoIterator<Item = (K, &'a Value)>,
    ) -> Result<(), RunError> {
        values.into_iter().try_for_each(|(name, value)| self.set_state(name.as_ref(), value))
    }

    /// Gives all states their initial values.
    ///
    /// # Errors
    /// If the program has no states of its own.
    pub fn reset(&mut self, seed: u64) -> Result<(), RunError> {
        self.fill(seed, |_| true)
    }

    /// The same in new memory, which holds zeros: those needn't be written.
    pub(super) fn initialize(&mut self, seed: u64) -> Result<(), RunError> {
        self.fill(seed, |state| !state.init.is_zeros())
    }

    fn fill(&mut self, seed: u64, which: impl Fn(&StateSpec) -> bool) -> Result<(), RunError> {
        for state in self.states.iter().filter(|state| which(state)) {
            let states = self.executable.states_mut().ok_or_else(|| no_states(&state.name))?;
            write_initial(states, state, seed)?;
        }
        Ok(())
    }

    /// Runs on these states from now on, which may be more than the program asks for; gives those that it had. Nothing is copied: programs of one model
    /// for training, evaluation and prediction, at whatever batch sizes, pass one block along.
    ///
    /// ```
    /// use gradc::compile::CompileOptions;
    /// use gradc::data::array;
    /// use gradc::dsl::{GraphBuilder, f32, zeros};
    /// use gradc::optim::Sgd;
    /// let options = CompileOptions::default();
    /// let g = GraphBuilder::new("fit");
    /// let loss = (g.input("x", f32([2])) - g.param("w", f32([2]), zeros())).square().mean();
    /// let mut training = g.minimize(loss, &Sgd::new(0.5))?.compile(&options)?;
    /// let g = GraphBuilder::new("predict");
    /// g.output("y", &(g.input("x", f32([2])) + g.param("w", f32([2]), zeros())));
    /// let mut prediction = g.finish()?.compile_without_states(&options)?;
    ///
    /// let x = array([2], vec![3.0f32, 5.0])?;
    /// training.run([("x", &x)])?;
    /// prediction.attach(training.detach().expect("it has states of its own"))?;
    /// assert_eq!(prediction.run([("x", &x)])?["y"].to_f64_vec(), [4.5, 7.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a state of the program isn't among them, or is of another type; the program keeps what it had, and the error has the states.
    pub fn attach(&mut self, states: States) -> Result<Option<States>, Refused> {
        self.executable.attach(states)
    }

    /// Runs on states that other programs read at the same time, each on a thread of its own: for programs that change none, as those that predict.
    ///
    /// # Errors
    /// As [`Self::attach`], and if a step changes states.
    pub fn share(&mut self, states: Arc<States>) -> Result<(), CompileError> {
        Ok(self.executable.share(states)?)
    }

    /// Takes the states away, unless they are shared; the program can't run until it gets some.
    pub fn detach(&mut self) -> Option<States> {
        self.executable.detach()
    }

    /// The block of memory that holds the states, if the program has any at the moment.
    #[cfg(test)]
    pub(crate) fn block(&self) -> Option<&States> {
        self.executable.states()
    }

    /// The block of memory that holds the states, to write to, if the program has any at the moment and no other program reads them.
    pub(crate) fn block_mut(&mut self) -> Option<&mut States> {
        self.executable.states_mut()
    }

    fn state_type(&self, name: &str) -> Result<&TensorType, RunError> {
        let state = self.states.iter().find(|state| state.name == name).map(|state| &state.ty);
        Ok(find(state, PortKind::State, name, self.states.iter().map(|state| &state.name))?)
    }
}

fn no_states(name: &str) -> PortError {
    PortError::NoStates { name: name.into() }
}

impl PortAccess for CompiledProgram {
    fn ports(&self) -> (&PortTypes, &PortMemory) {
        (&self.types, &self.executable)
    }

    fn inputs_mut(&mut self) -> (&PortTypes, ProgramInputs<'_>) {
        (&self.types, self.executable.inputs())
    }

    fn run_step(&mut self) -> Result<(), RunError> {
        self.step()
    }
}
