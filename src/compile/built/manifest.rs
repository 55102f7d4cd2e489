//! What an entry's manifest says, and whether it can be.

use super::BuiltError;
use ir::{DType, Shape, TensorType};
use kernel::{InstructionSet, Target};
use runtime::{ALIGN, LibraryEntry, OBJECT_ABI_VERSION};
use serde::Deserialize;

/// Threads of a step at most: a size for so many must not overflow.
const MOST_THREADS: usize = 1024;

/// The manifest's fields that matter here.
#[derive(Deserialize)]
struct EntryManifest {
    name: String,
    abi_version: u32,
    target: String,
    variants: Vec<ManifestVariant>,
    align: usize,
    state_bytes: usize,
    changes_states: bool,
    arena_bytes: usize,
    arena_bytes_per_thread: usize,
    inputs: Vec<ManifestPort>,
    outputs: Vec<ManifestPort>,
    states: Vec<ManifestState>,
}

#[derive(Deserialize)]
struct ManifestVariant {
    cpu: String,
}

#[derive(Deserialize)]
struct ManifestPort {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    align: usize,
}

/// A state's place in the block.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct ManifestState {
    name: String,
    dtype: String,
    elements: usize,
    shape: Vec<usize>,
    offset: usize,
}

/// A step in a shared library, as its manifest describes it.
#[derive(Clone, PartialEq, Debug)]
pub struct BuiltEntry {
    pub(super) name: String,
    pub(super) inputs: Vec<(String, TensorType)>,
    pub(super) outputs: Vec<(String, TensorType)>,
    pub(super) states: Vec<ManifestState>,
    pub(super) state_bytes: usize,
    pub(super) changes_states: bool,
    arena_bytes: usize,
    manifest: String,
}

impl BuiltEntry {
    /// The prefix of its symbols.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inputs, by name, with their types.
    pub fn inputs(&self) -> &[(String, TensorType)] {
        &self.inputs
    }

    /// The outputs, by name, with their types.
    pub fn outputs(&self) -> &[(String, TensorType)] {
        &self.outputs
    }

    /// Whether a step changes states, as training does: then it doesn't predict.
    pub fn changes_states(&self) -> bool {
        self.changes_states
    }

    /// What a manifest says that the library has under `NAME_manifest`.
    pub(super) fn parse(entry: &str, text: &str, host: &Target) -> Result<Self, BuiltError> {
        let wrong = |what: String| BuiltError::Manifest { entry: entry.into(), what };
        let manifest: EntryManifest = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if manifest.name != entry {
            return Err(wrong(format!("it is of `{}`", manifest.name)));
        }
        let version = manifest.abi_version;
        if version != OBJECT_ABI_VERSION {
            let what = format!("version {version} of the interface, and version {OBJECT_ABI_VERSION} is spoken here");
            return Err(wrong(format!("{what}: build it again")));
        }
        check_target(&manifest, host)?;
        let arena = manifest.arena_bytes.checked_add(manifest.arena_bytes_per_thread);
        let most = manifest.arena_bytes_per_thread.checked_mul(MOST_THREADS);
        let most = most.and_then(|all| all.checked_add(manifest.arena_bytes));
        let Some((arena_bytes, _)) = arena.zip(most).filter(|_| manifest.align == ALIGN) else {
            return Err(wrong("an arena larger than memory, or aligned otherwise".into()));
        };
        check_states(&manifest.states, manifest.state_bytes).map_err(wrong)?;
        Ok(Self {
            name: manifest.name,
            inputs: types(&manifest.inputs).map_err(wrong)?,
            outputs: types(&manifest.outputs).map_err(wrong)?,
            states: manifest.states,
            state_bytes: manifest.state_bytes,
            changes_states: manifest.changes_states,
            arena_bytes,
            manifest: text.into(),
        })
    }

    /// What loading it takes.
    pub(super) fn to_load(&self) -> LibraryEntry {
        let ports = |ports: &[(String, TensorType)]| {
            ports.iter().map(|(name, ty)| (name.clone(), ty.dtype, ty.shape.numel())).collect()
        };
        LibraryEntry {
            name: self.name.clone(),
            manifest: self.manifest.clone(),
            inputs: ports(&self.inputs),
            outputs: ports(&self.outputs),
            state_bytes: self.state_bytes,
            arena_bytes: self.arena_bytes,
            changes_states: self.changes_states,
        }
    }
}

/// Whether this machine runs any of the variants.
fn check_target(manifest: &EntryManifest, host: &Target) -> Result<(), BuiltError> {
    let sets: Vec<&str> = manifest.variants.iter().map(|variant| variant.cpu.as_str()).collect();
    let runs = |set: &&str| {
        let generic = Target::generic(manifest.target.parse().ok()?).ok()?;
        let target = generic.with_instruction_set(set.parse::<InstructionSet>().ok()?).ok()?;
        Some(target.runs_on(host) && target.triple().binary_format == host.triple().binary_format)
    };
    match sets.iter().any(|set| runs(set) == Some(true)) {
        true => Ok(()),
        false => Err(BuiltError::Foreign {
            entry: manifest.name.clone(),
            built_for: format!("{} ({})", manifest.target, sets.join(", ")),
            host: host.to_string(),
        }),
    }
}

/// The types of ports, which come by name.
fn types(ports: &[ManifestPort]) -> Result<Vec<(String, TensorType)>, String> {
    if let Some(pair) = ports.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(format!("the ports `{}` and `{}` aren't in the order of their names", pair[0].name, pair[1].name));
    }
    let of_port = |port: &ManifestPort| {
        let ty = tensor_type(&port.dtype, &port.shape).map_err(|e| format!("the port `{}`: {e}", port.name))?;
        // They are given memory that is aligned for the widest vectors.
        match port.align.is_power_of_two() && port.align <= ALIGN {
            true => Ok((port.name.clone(), ty)),
            false => Err(format!("the port `{}` is aligned to {} bytes", port.name, port.align)),
        }
    };
    ports.iter().map(of_port).collect()
}

/// Whether states lie one behind the other in a block of just so many bytes.
fn check_states(states: &[ManifestState], bytes: usize) -> Result<(), String> {
    let mut end = 0usize;
    for state in states {
        let wrong =
            |what: &str| format!("the state `{}`, {} elements at {}: {what}", state.name, state.elements, state.offset);
        let ty = tensor_type(&state.dtype, &state.shape).map_err(|e| wrong(&e))?;
        if ty.shape.numel() != state.elements || state.offset != end {
            return Err(wrong("it isn't where it must be, or its shape has another number of elements"));
        }
        let behind = state.offset.checked_add(ty.size_bytes()).and_then(|end| end.checked_next_multiple_of(ALIGN));
        end = behind.ok_or_else(|| wrong("it ends beyond all memory"))?;
    }
    match end == bytes {
        true => Ok(()),
        false => Err(format!("{bytes} bytes of states, which take {end}")),
    }
}

fn tensor_type(dtype: &str, shape: &[usize]) -> Result<TensorType, String> {
    let dtype = DType::from_name(dtype).ok_or_else(|| format!("there are no elements of type `{dtype}`"))?;
    Ok(TensorType::new(dtype, Shape::new(shape).map_err(|e| e.to_string())?))
}
