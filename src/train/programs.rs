//! The programs of one model, and the states that they share.
//!
//! A model has a program for each purpose and batch size. The states are one block of memory, which goes to the program that runs: nothing is copied, and no program
//! can read what isn't the newest.

use super::TrainError;
use super::parallel::StagePlan;
use super::states::near;
use crate::compile::{
    CompileError, CompileOptions, CompiledProgram, ProgramCache, RunError, Stages, States, first, is_finite, read,
    read_all, write, write_initial,
};
use crate::dsl::{ModelErrors, StateRole, StateSpec, Step};
use crate::model::trace::{self, Among};
use crate::model::{Batch, Criteria, Model, loss_name};
use crate::nn::metric::Reported;
use crate::nn::{Metric, Objective};
use crate::optim::Optimizer;
use ir::{Loc, TensorType, Value, map_of};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a program is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Purpose {
    Training,
    Evaluation,
    Inference,
    /// Training without an update, in which there is all to see.
    Observation,
    /// A part of training by several processes, by its number.
    Stage(usize),
}

/// What distinguishes a model's programs: the purpose, and the samples of a batch and whether they are weighted.
pub(super) type ProgramKey = (Purpose, Batch);

/// What programs are traced from.
pub(super) struct TrainingSetup {
    pub(super) model: Arc<dyn Model>,
    pub(super) objective: Box<dyn Objective>,
    pub(super) metrics: Vec<Metric>,
    pub(super) optimizer: Box<dyn Optimizer>,
    /// Where the user put them together.
    pub(super) at: Loc,
}

impl TrainingSetup {
    /// Under which names the losses of outputs are measured, of a model with several.
    pub(super) fn output_losses(&self) -> Vec<String> {
        if self.model.outputs().len() == 1 {
            return vec![];
        }
        self.objective.losses().iter().filter_map(|loss| loss.output.map(loss_name)).collect()
    }

    /// Whether evaluation may fill a batch up with samples of weight 0.
    fn may_be_filled(&self) -> bool {
        let losses = self.objective.losses();
        let criteria = Criteria { losses: &losses, metrics: &self.metrics, reported: Reported::Totals };
        trace::may_be_filled(&*self.model, criteria, &self.at)
    }

    /// The graph for a purpose.
    pub(super) fn declare(&self, (purpose, batch): ProgramKey) -> Result<Step, ModelErrors> {
        let Self { model, objective, metrics, optimizer, at } = self;
        let losses = objective.losses();
        let criteria = Criteria { losses: &losses, metrics, reported: Reported::Totals };
        match purpose {
            Purpose::Training => trace::training(&**model, (batch, Among::One), criteria, &**optimizer, at.clone()),
            Purpose::Stage(_) => trace::training(&**model, (batch, Among::Several), criteria, &**optimizer, at.clone()),
            Purpose::Evaluation => trace::evaluation(&**model, batch, criteria, at.clone()),
            Purpose::Inference => trace::inference(&**model, batch.size, at),
            Purpose::Observation => {
                trace::observation(&**model, batch, Criteria { metrics: &[], ..criteria }, at.clone())
            }
        }
    }
}

/// All programs of a model.
pub(super) struct Programs {
    pub(super) subject: TrainingSetup,
    cache: ProgramCache<ProgramKey>,
    specs: BTreeMap<String, StateSpec>,
    /// All states, while no program has them, and somebody has asked for them.
    states: Option<States>,
    /// The program that has them.
    holder: Option<ProgramKey>,
    /// Whether evaluation may fill a batch up, once that was asked.
    filled: Option<bool>,
    /// What training by several processes is cut into.
    staged: BTreeMap<Batch, Arc<StagePlan>>,
}

impl Programs {
    /// None compiled yet. The states of training get their initial values.
    pub(super) fn new(subject: TrainingSetup, options: CompileOptions) -> Result<Self, ModelErrors> {
        let step = subject.declare((Purpose::Training, 1.into()))?;
        let specs = map_of(step.states.into_iter().map(|state| (state.name.clone(), state)));
        Ok(Self {
            subject,
            cache: ProgramCache::without_states(options),
            specs,
            states: None,
            holder: None,
            filled: None,
            staged: BTreeMap::new(),
        })
    }

    /// Other options; what has been compiled is forgotten, states keep their values.
    pub(super) fn set_options(&mut self, options: CompileOptions) -> Result<(), TrainError> {
        self.take_back()?;
        self.cache = ProgramCache::without_states(options);
        self.staged.clear();
        Ok(())
    }

    pub(super) fn options(&self) -> &CompileOptions {
        self.cache.options()
    }

    /// Whether evaluation may fill a batch up with samples of weight 0.
    pub(super) fn may_be_filled(&mut self) -> bool {
        *self.filled.get_or_insert_with(|| self.subject.may_be_filled())
    }

    /// Takes states in that there haven't been before, with their initial values.
    fn learn(&mut self, states: &[StateSpec]) -> Result<(), TrainError> {
        let new: Vec<StateSpec> = states.iter().filter(|s| !self.specs.contains_key(&s.name)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.take_back()?;
        let before = self.states.take();
        self.specs.extend(new.into_iter().map(|state| (state.name.clone(), state)));
        let mut block = self.initial()?;
        if let Some(before) = before {
            block.copy_from(&before);
        }
        self.states = Some(block);
        Ok(())
    }

    /// What tells steps of training apart whose settings differ (an optimizer's, a layer's, a loss's): a checksum of the graph of one sample's, and of what the run's numbers start with.
    pub(super) fn fingerprint(&self) -> Result<String, ModelErrors> {
        let step = self.subject.declare((Purpose::Training, 1.into()))?;
        let numbers = step.states.iter().filter(|state| state.role == StateRole::Runtime);
        let numbers: Vec<String> = numbers.map(|state| format!("{} {:?}", state.name, state.init)).collect();
        let sum = crc32fast::hash(format!("{}{}", step.graph, numbers.join("\n")).as_bytes());
        Ok(format!("{sum:08x}"))
    }

    /// A block with the initial values of all states.
    fn initial(&self) -> Result<States, TrainError> {
        let sizes = self.specs.values().map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
        let mut block = States::new(sizes).map_err(CompileError::from)?;
        self.fill(&mut block, |state| !state.init.is_zeros())?;
        Ok(block)
    }

    /// Writes initial values.
    fn fill(&self, block: &mut States, which: impl Fn(&StateSpec) -> bool) -> Result<(), TrainError> {
        let seed = self.cache.options().seed;
        for state in self.specs.values().filter(|state| which(state)) {
            write_initial(block, state, seed)?;
        }
        Ok(())
    }

    /// All states back to their initial values.
    pub(super) fn reset(&mut self) -> Result<(), TrainError> {
        self.take_back()?;
        if let Some(mut block) = self.states.take() {
            self.fill(&mut block, |_| true)?;
            self.states = Some(block);
        }
        Ok(())
    }

    /// The program of a signature, compiled if need be, with the states, ready to run.
    pub(super) fn activate(&mut self, signature: ProgramKey) -> Result<&mut CompiledProgram, TrainError> {
        let subject = &self.subject;
        if self.cache.ensure(signature, || subject.declare(signature))? {
            let states = self.cache.get(signature).map(|p| p.states().to_vec()).unwrap_or_default();
            self.learn(&states)?;
        }
        if self.holder != Some(signature) {
            self.take_back()?;
        }
        let missing = || TrainError::Setting("a program that was just compiled is gone".into());
        let program = self.cache.get(signature).ok_or_else(missing)?;
        if let Some(states) = self.states.take() {
            if let Err(refused) = program.attach(states) {
                self.states = Some(*refused.states);
                return Err(CompileError::from(refused.why).into());
            }
            self.holder = Some(signature);
        }
        Ok(program)
    }

    /// What a process does in a step that several take, it on so many samples: programs of [`Purpose::Stage`], which are compiled.
    pub(super) fn staged(&mut self, batch: Batch) -> Result<Arc<StagePlan>, TrainError> {
        if let Some(plan) = self.staged.get(&batch) {
            return Ok(Arc::clone(plan));
        }
        let step = self.subject.declare((Purpose::Stage(0), batch))?;
        let cut = Stages::cut(&step, &self.subject.optimizer.statistics(), self.cache.options())?;
        let plan = Arc::new(StagePlan::of(&cut));
        for (number, stage) in cut.stages.into_iter().enumerate() {
            self.cache.ensure((Purpose::Stage(number), batch), || Ok(stage.step))?;
        }
        self.learn(&step.states)?;
        self.staged.insert(batch, Arc::clone(&plan));
        Ok(plan)
    }

    /// Takes the states from the program that has them, or makes them if nobody has yet.
    fn take_back(&mut self) -> Result<(), TrainError> {
        if let Some(program) = self.holder.take().and_then(|signature| self.cache.get(signature)) {
            self.states = program.detach();
        }
        if self.states.is_none() {
            self.states = Some(self.initial()?);
        }
        Ok(())
    }

    /// A block of its own with the values that these states have now.
    pub(super) fn copy_of(&mut self, states: &[StateSpec]) -> Result<States, TrainError> {
        self.learn(states)?;
        self.take_back()?;
        let sizes = states.iter().map(|state| (state.name.clone(), state.ty.dtype, state.ty.shape.numel()));
        let mut block = States::new(sizes).map_err(CompileError::from)?;
        if let Some(all) = &self.states {
            block.copy_from(all);
        }
        Ok(block)
    }

    /// A block of its own with the values that all states have now.
    pub(super) fn copy_of_all(&mut self) -> Result<States, TrainError> {
        let all: Vec<StateSpec> = self.specs.values().cloned().collect();
        self.copy_of(&all)
    }

    /// Copies the values that states have now into a block that has them.
    pub(super) fn copy_to(&mut self, block: &mut States) -> Result<(), TrainError> {
        block.copy_from(self.block()?);
        Ok(())
    }

    /// Copies the values of a block into the states that it has.
    pub(super) fn copy_from(&mut self, block: &States) -> Result<(), TrainError> {
        self.block_mut()?.copy_from(block);
        Ok(())
    }

    /// Whether no element of a parameter or a running statistic is infinite or NaN.
    pub(super) fn has_finite_weights(&mut self) -> Result<bool, TrainError> {
        let named = |state: &StateSpec| (state.name.clone(), state.ty.dtype);
        let weights: Vec<_> = self.specs.values().filter(|state| state.role.is_weight()).map(named).collect();
        let block = self.block()?;
        for (name, dtype) in weights {
            if !is_finite(block, &name, dtype)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The values of all states whose role is accepted.
    pub(super) fn states(&mut self, keep: fn(StateRole) -> bool) -> Result<BTreeMap<String, Value>, TrainError> {
        self.take_back()?;
        let Some(block) = &self.states else { return Ok(BTreeMap::new()) };
        let kept = self.specs.values().filter(|state| keep(state.role));
        Ok(read_all(block, kept.map(|state| (&state.name, &state.ty)))?)
    }

    /// The values that these states have now, among others.
    pub(super) fn states_of(&mut self, states: &[StateSpec]) -> Result<BTreeMap<String, Value>, TrainError> {
        self.learn(states)?;
        self.states(|role| role != StateRole::Slot)
    }

    /// What a checkpoint holds: all states but those that a step leaves for the next one alone.
    pub(super) fn kept_states(&mut self) -> Result<BTreeMap<String, Value>, TrainError> {
        self.states(|role| role != StateRole::Cache)
    }

    /// The types of all states whose role is accepted.
    pub(super) fn types(&self, keep: fn(StateRole) -> bool) -> BTreeMap<String, TensorType> {
        let kept = self.specs.values().filter(|state| keep(state.role));
        map_of(kept.map(|state| (state.name.clone(), state.ty.clone())))
    }

    /// Those of what a checkpoint holds.
    pub(super) fn kept_types(&self) -> BTreeMap<String, TensorType> {
        self.types(|role| role != StateRole::Cache)
    }

    /// The first element of a state, if there is one of that name, without an allocation once a program has run.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, TrainError> {
        Ok(self.state_of(name)?.map(|(block, ty)| first(block, name, ty.dtype)).transpose()?)
    }

    /// The value of one state, if there is one of that name.
    pub(super) fn state(&mut self, name: &str) -> Result<Option<Value>, TrainError> {
        Ok(self.state_of(name)?.map(|(block, ty)| read(block, name, &ty)).transpose()?)
    }

    /// The block that holds a state, and the state's type.
    fn state_of(&mut self, name: &str) -> Result<Option<(&States, TensorType)>, TrainError> {
        match self.specs.get(name).map(|state| state.ty.clone()) {
            Some(ty) => Ok(Some((self.block()?, ty))),
            None => Ok(None),
        }
    }

    /// The block that holds all states, in whichever program's hands.
    pub(super) fn block(&mut self) -> Result<&States, TrainError> {
        Ok(self.block_mut()?)
    }

    /// The same, to write to.
    pub(super) fn block_mut(&mut self) -> Result<&mut States, TrainError> {
        if self.holder.is_none() {
            self.take_back()?;
        }
        let block = match self.holder {
            Some(signature) => self.cache.get(signature).and_then(CompiledProgram::block_mut),
            None => self.states.as_mut(),
        };
        block.ok_or_else(|| TrainError::Setting("the states are gone".into()))
    }

    /// Refuses a name that no state has.
    pub(super) fn check_name(&self, name: &str) -> Result<(), TrainError> {
        match self.specs.contains_key(name) {
            true => Ok(()),
            false => Err(TrainError::State { name: name.into(), near: near(name, self.specs.keys()) }),
        }
    }

    /// New values of states, all or none.
    pub(super) fn set_states(&mut self, values: BTreeMap<String, Value>) -> Result<(), TrainError> {
        for (name, value) in &values {
            self.check_name(name)?;
            if let Some(state) = self.specs.get(name).filter(|state| state.ty != *value.ty()) {
                let (name, expected, found) = (name.clone(), state.ty.clone(), value.ty().clone());
                return Err(RunError::Type { name, expected, found }.into());
            }
        }
        let block = self.block_mut()?;
        for (name, value) in values {
            write(block, &name, value.ty(), &value)?;
        }
        Ok(())
    }

    /// All programs compiled so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProgramKey, &CompiledProgram)> {
        self.cache.iter()
    }
}
