//! The programs of one model, and the states that they share.
//!
//! A model has a program for each purpose and batch size, each with states in its own memory. The newest values are in one place: in
//! the program that ran a step which changes states, or else in the store on the host. A program that is not up to date gets all its
//! states copied before it runs, so that what it reads is never stale.

use super::TrainError;
use crate::compile::{CompileOptions, CompiledProgram, ProgramCache};
use crate::dsl::{ModelErrors, StateRole, StateSpec, Step};
use crate::model::{Batch, Model, trace};
use crate::nn::{Loss, Metric};
use crate::optim::Optimizer;
use ir::{Loc, Value};
use std::collections::BTreeMap;

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Purpose {
    Training,
    Evaluation,
    Inference,
}

/// What distinguishes a model's programs: the purpose, and the samples of a batch and whether they are weighted.
pub(super) type Signature = (Purpose, Batch);

/// What programs are traced from.
pub(super) struct Subject {
    pub(super) model: Box<dyn Model>,
    pub(super) loss: Box<dyn Loss>,
    pub(super) metrics: Vec<Metric>,
    pub(super) optimizer: Box<dyn Optimizer>,
    /// Where the user put them together.
    pub(super) at: Loc,
}

impl Subject {
    /// The graph for a purpose.
    pub(super) fn declare(&self, (purpose, batch): Signature) -> Result<Step, ModelErrors> {
        let Self { model, loss, metrics, optimizer, at } = self;
        match purpose {
            Purpose::Training => trace::training(&**model, batch, &**loss, metrics, &**optimizer, at.clone()),
            Purpose::Evaluation => trace::evaluation(&**model, batch, &**loss, metrics, at.clone()),
            Purpose::Inference => trace::inference(&**model, batch.size, at),
        }
    }
}

/// A state's newest value, unless a program holds a newer one.
struct Stored {
    value: Value,
    role: StateRole,
}

/// All programs of a model.
pub(super) struct Programs {
    pub(super) subject: Subject,
    cache: ProgramCache<Signature>,
    store: BTreeMap<String, Stored>,
    /// Counts the changes of the store.
    version: u64,
    /// Which version each program's states are.
    loaded: BTreeMap<Signature, u64>,
    /// The program whose states are newer than the store.
    newest: Option<Signature>,
}

impl Programs {
    /// None compiled yet. The states of training get their initial values.
    pub(super) fn new(subject: Subject, options: CompileOptions) -> Result<Self, ModelErrors> {
        let step = subject.declare((Purpose::Training, 1.into()))?;
        let mut programs = Self {
            subject,
            cache: ProgramCache::blank(options),
            store: BTreeMap::new(),
            version: 0,
            loaded: BTreeMap::new(),
            newest: None,
        };
        programs.learn(&step.states);
        Ok(programs)
    }

    /// Other options; what has been compiled is forgotten, states keep their values.
    pub(super) fn set_options(&mut self, options: CompileOptions) -> Result<(), TrainError> {
        self.collect()?;
        self.cache = ProgramCache::blank(options);
        self.loaded.clear();
        Ok(())
    }

    pub(super) fn options(&self) -> &CompileOptions {
        self.cache.options()
    }

    /// Initial values of states that the store doesn't know.
    fn learn(&mut self, states: &[StateSpec]) {
        let seed = self.cache.options().seed;
        for state in states {
            let stored = || Stored { value: state.initial(seed), role: state.role };
            self.store.entry(state.name.clone()).or_insert_with(stored);
        }
    }

    /// All states back to their initial values.
    pub(super) fn reset(&mut self) -> Result<(), TrainError> {
        self.newest = None;
        self.version += 1;
        self.store.clear();
        let step = self.subject.declare((Purpose::Training, 1.into()))?;
        self.learn(&step.states);
        Ok(())
    }

    /// The program of a signature, compiled if need be, with the newest states, ready to run.
    pub(super) fn activate(&mut self, signature: Signature) -> Result<&mut CompiledProgram, TrainError> {
        let subject = &self.subject;
        if self.cache.ensure(signature, || subject.declare(signature))? {
            let states = self.cache.get(signature).map(|p| p.states().to_vec()).unwrap_or_default();
            self.learn(&states);
        }
        if self.newest != Some(signature) {
            self.collect()?;
            if self.loaded.get(&signature) != Some(&self.version)
                && let Some(program) = self.cache.get(signature)
            {
                let names: Vec<String> = program.states().iter().map(|s| s.name.clone()).collect();
                program.set_states(names.iter().map(|name| (name, &self.store[name].value)))?;
                self.loaded.insert(signature, self.version);
            }
        }
        let missing = || TrainError::Setting("a program that was just compiled is gone".into());
        let program = self.cache.get(signature).ok_or_else(missing)?;
        if program.updates_states() {
            self.newest = Some(signature);
        }
        Ok(program)
    }

    /// Brings the newest values into the store.
    fn collect(&mut self) -> Result<(), TrainError> {
        let Some(signature) = self.newest.take() else { return Ok(()) };
        let Some(program) = self.cache.get(signature) else { return Ok(()) };
        for state in program.states() {
            if let Some(stored) = self.store.get_mut(&state.name) {
                stored.value = program.state_value(&state.name)?;
            }
        }
        self.version += 1;
        self.loaded.insert(signature, self.version);
        Ok(())
    }

    /// The newest values of all states whose role is accepted.
    pub(super) fn states(&mut self, keep: impl Fn(StateRole) -> bool) -> Result<BTreeMap<String, Value>, TrainError> {
        self.collect()?;
        let kept = self.store.iter().filter(|(_, stored)| keep(stored.role));
        Ok(kept.map(|(name, stored)| (name.clone(), stored.value.clone())).collect())
    }

    /// The newest value of one state, if there is one of that name; nothing else is looked at.
    pub(super) fn state(&mut self, name: &str) -> Result<Option<Value>, TrainError> {
        if let Some(program) = self.newest.and_then(|signature| self.cache.get(signature))
            && program.states().iter().any(|state| state.name == name)
        {
            return Ok(Some(program.state_value(name)?));
        }
        Ok(self.store.get(name).map(|stored| stored.value.clone()))
    }

    /// New values of states, which all programs read from now on.
    pub(super) fn set_states(&mut self, values: BTreeMap<String, Value>) -> Result<(), TrainError> {
        self.collect()?;
        for (name, value) in &values {
            let Some(stored) = self.store.get(name) else {
                let known: Vec<&str> = self.store.keys().map(String::as_str).collect();
                return Err(TrainError::Setting(format!(
                    "the model has no state `{name}`; it has {}",
                    known.join(", ")
                )));
            };
            if stored.value.ty() != value.ty() {
                let (expected, found) = (stored.value.ty(), value.ty());
                return Err(TrainError::Setting(format!("state `{name}` is {expected}, not {found}")));
            }
        }
        for (name, value) in values {
            if let Some(stored) = self.store.get_mut(&name) {
                stored.value = value;
            }
        }
        self.version += 1;
        Ok(())
    }

    /// All programs compiled so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Signature, &CompiledProgram)> {
        self.cache.iter()
    }
}
