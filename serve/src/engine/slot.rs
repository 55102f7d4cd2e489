//! A model with all its versions: loaded and unloaded while requests come.

use super::repository::{ModelSource, read};
use super::version::Version;
use super::{Changed, EngineOptions, Events, Failure, ModelMetadata, ModelState, ModelStatus, ModelUsage, UNLOADED};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// A model.
pub(super) struct ModelSlot {
    source: ModelSource,
    options: EngineOptions,
    events: Arc<dyn Events>,
    versions: RwLock<Versions>,
    /// Held by who loads or unloads: one after the other.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Versions {
    ready: BTreeMap<u64, Arc<Version>>,
    /// Why others aren't.
    unavailable: BTreeMap<u64, (ModelState, String)>,
    /// Whether none is to become ready any more.
    ended: bool,
}

impl ModelSlot {
    pub(super) fn new(source: ModelSource, options: EngineOptions, events: Arc<dyn Events>) -> Self {
        Self { source, options, events, versions: RwLock::default(), changing: Mutex::default() }
    }

    /// The version that answers a request; without one, the newest that is ready.
    pub(super) fn version(&self, version: Option<&str>) -> Result<Arc<Version>, Failure> {
        let versions = self.read();
        let name = &self.source.name;
        let found = match version {
            None => versions.ready.last_key_value().map(|(_, version)| version),
            Some(text) => {
                let none = || Failure::NotFound(format!("the model {name:?} has no version {:.20}", text));
                let number: u64 = text.parse().map_err(|_| none())?;
                let ready = versions.ready.get(&number);
                if ready.is_none() && !versions.unavailable.contains_key(&number) {
                    return Err(none());
                }
                ready
            }
        };
        let retry_after = Duration::from_secs(1);
        let why = || Failure::Unavailable { why: format!("the model {name:?} isn't ready"), retry_after };
        found.cloned().ok_or_else(why)
    }

    /// What the model takes and gives.
    pub(super) fn metadata(&self, version: Option<&str>) -> Result<ModelMetadata, Failure> {
        let found = self.version(version)?;
        let core = &found.core;
        Ok(ModelMetadata {
            name: core.model.clone(),
            versions: self.read().ready.keys().map(u64::to_string).collect(),
            platform: found.platform,
            inputs: core.inputs.iter().map(|port| core.metadata(port)).collect(),
            outputs: core.outputs.iter().map(|port| core.metadata(port)).collect(),
            max_batch: core.max_batch(),
        })
    }

    /// How far each version is.
    pub(super) fn statuses(&self) -> Vec<ModelStatus> {
        let versions = self.read();
        let status = |number: &u64, state, reason: &str| ModelStatus {
            name: self.source.name.clone(),
            version: number.to_string(),
            state,
            reason: reason.into(),
        };
        let ready = versions.ready.keys().map(|number| (*number, status(number, ModelState::Ready, "")));
        let mut all: BTreeMap<u64, ModelStatus> = ready.collect();
        for (number, (state, reason)) in &versions.unavailable {
            // A version that is ready and whose file couldn't be loaded again stays ready, with the reason.
            all.entry(*number)
                .and_modify(|ready| ready.reason.clone_from(reason))
                .or_insert_with(|| status(number, *state, reason));
        }
        all.into_values().collect()
    }

    /// Numbers of versions that are ready.
    pub(super) fn usage(&self) -> Vec<ModelUsage> {
        let usage = |version: &Arc<Version>| ModelUsage {
            name: version.core.model.clone(),
            version: version.core.number.to_string(),
            waiting: version.core.queue.len(),
            room: version.core.room(),
            bytes: version.core.predictor.bytes(),
        };
        self.read().ready.values().map(usage).collect()
    }

    /// Whether any version is ready.
    pub(super) fn ready(&self) -> bool {
        !self.read().ready.is_empty()
    }

    /// Loads a file anew, or what is new of a folder, and unloads what has gone from it. Blocks for as long as that takes, while requests go on. If the newest can't be loaded, those that are ready stay.
    pub(super) fn load(&self) -> Result<(), Failure> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.source.versions().map_err(Failure::Invalid)?;
        let is_file = self.source.path.is_file();
        let newest = files.last_key_value().map(|(number, _)| *number);
        let mut failed = None;
        // The newest first: it is what most wait for.
        for (number, file) in files.iter().rev() {
            if self.read().ended {
                break;
            }
            // What is in a folder of versions stays what it was.
            if !is_file && self.read().ready.contains_key(number) {
                continue;
            }
            // An older one that can't be loaded is told of by the index alone.
            if let Err(reason) = self.load_version(*number, file)
                && Some(*number) == newest
            {
                failed = Some(reason);
            }
        }
        if failed.is_none() {
            let gone: Vec<u64> =
                self.read().ready.keys().filter(|number| !files.contains_key(*number)).copied().collect();
            gone.into_iter().for_each(|number| self.unload_version(number));
        }
        failed.map_or(Ok(()), |reason| Err(Failure::Invalid(reason)))
    }

    fn load_version(&self, number: u64, file: &Path) -> Result<(), String> {
        self.set_state(number, ModelState::Loading, "");
        let options = &self.options;
        // While something answers, there is time to compile all before the new one takes over.
        let whole = self.ready();
        let version = read(file, options).and_then(|(predictor, platform)| {
            let name = (&*self.source.name, number, platform);
            Version::start(name, predictor, options, (Arc::clone(&self.events), whole))
                .map_err(|e| format!("{}: {e}", file.display()))
        });
        match version {
            Ok(version) => {
                let before = {
                    let mut versions = self.write();
                    if versions.ended {
                        return Err("the server has ended".into());
                    }
                    versions.unavailable.remove(&number);
                    versions.ready.insert(number, Arc::new(version))
                };
                self.tell(number, ModelState::Ready, "");
                if let Some(before) = before {
                    before.stop();
                }
                Ok(())
            }
            Err(reason) => {
                self.set_state(number, ModelState::Unavailable, &reason);
                Err(reason)
            }
        }
    }

    /// Requests don't wait for others any longer.
    pub(super) fn hurry(&self) {
        self.read().ready.values().for_each(|version| version.core.queue.hurry());
    }

    /// Unloads all versions, and what is being loaded as soon as it is: no other becomes ready. Blocks as [`Self::unload`].
    pub(super) fn end(&self) {
        self.write().ended = true;
        self.unload();
    }

    /// Unloads all versions. Blocks until they have answered what they have taken.
    pub(super) fn unload(&self) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers: Vec<u64> = self.read().ready.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.unload_version(number));
    }

    fn unload_version(&self, number: u64) {
        let Some(version) = self.write().ready.remove(&number) else { return };
        self.set_state(number, ModelState::Unloading, "it answers what it has taken");
        version.stop();
        self.set_state(number, ModelState::Unavailable, UNLOADED);
    }

    fn set_state(&self, number: u64, state: ModelState, reason: &str) {
        self.write().unavailable.insert(number, (state, reason.into()));
        self.tell(number, state, reason);
    }

    fn tell(&self, number: u64, state: ModelState, reason: &str) {
        let (model, version) = (&*self.source.name, number.to_string());
        self.events.changed(&Changed { model, version: &version, state, reason });
    }

    /// A table is whole whatever happened to a thread that had it.
    fn read(&self) -> RwLockReadGuard<'_, Versions> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Versions> {
        self.versions.write().unwrap_or_else(PoisonError::into_inner)
    }
}
