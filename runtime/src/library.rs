//! Shared libraries of steps that were compiled ahead of time: mapped into the process, given memory, and called by their C interface.

use crate::arena::{ALIGN, Arena};
use crate::port_memory::{PortMemory, ProgramInputs};
use crate::ports::Ports;
use crate::{LoadError, OBJECT_ABI_VERSION, Port, PortKind};
use embed::StepHeader;
use embed::pool::Threads;
use kernel::DType;
use libloading::Library;
use std::ffi::{CStr, c_char, c_void};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// An entry of a library, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct LibraryEntry {
    /// The prefix of its symbols.
    pub name: String,
    /// The manifest's text, which the library must have under `NAME_manifest`.
    pub manifest: String,
    /// The inputs in the order of the context's fields: names, element types, numbers of elements.
    pub inputs: Vec<(String, DType, usize)>,
    /// The outputs, as the inputs.
    pub outputs: Vec<(String, DType, usize)>,
    /// Bytes of the block of states.
    pub state_bytes: usize,
    /// Bytes of the arena for one thread.
    pub arena_bytes: usize,
    /// Whether a step changes states.
    pub changes_states: bool,
}

/// The functions of an entry. They stand in the library, and are called while it is there.
#[derive(Clone, Copy)]
struct EntryFunctions {
    init: unsafe extern "C" fn(*mut c_void, u64) -> i32,
    step: unsafe extern "C" fn(*mut c_void) -> i32,
    status_message: unsafe extern "C" fn(i32) -> *const c_char,
    arena_bytes: unsafe extern "C" fn(u32) -> u64,
}

/// Entries that are mapped into the process, until the last program of them is dropped.
pub struct StepLibrary {
    entries: Vec<(LibraryEntry, EntryFunctions)>,
    _library: Library,
}

impl StepLibrary {
    /// Maps the library in a file and finds the functions of these entries. Code runs already while it is mapped. What was mapped from a file of the same name or place before may be found again: give
    /// each a name of its own.
    ///
    /// Safe code can't run bytes of its own choosing:
    ///
    /// ```compile_fail,E0133
    /// drop(runtime::StepLibrary::open("library.so".as_ref(), vec![]));
    /// ```
    ///
    /// # Errors
    /// If the system can't map it, a symbol is missing, it has other manifests than those of the entries, or other sizes than they say.
    ///
    /// # Safety
    /// The file must be a library linked of objects that gradc has compiled, which nobody changes while it is mapped, and the entries must be what their manifests say.
    pub unsafe fn open(path: &Path, entries: Vec<LibraryEntry>) -> Result<Arc<Self>, LoadError> {
        // SAFETY: the caller says whose code it is; gradc's objects have nothing that runs at loading, and the C compiler's beginnings do nothing but register themselves.
        let library = unsafe { map(path) }.map_err(|e| LoadError::Library(e.to_string()))?;
        let found = entries.into_iter().map(|entry| {
            // SAFETY: the caller says that the entries are the library's.
            let functions = unsafe { functions_of(&library, &entry) }?;
            Ok::<_, LoadError>((entry, functions))
        });
        Ok(Arc::new(Self { entries: found.collect::<Result<_, _>>()?, _library: library }))
    }

    /// The states as one of the entries starts them, for all entries that lay them out alike.
    ///
    /// # Errors
    /// If there is no memory for them, or the code refuses: the processor lacks instructions, or the block is smaller than it wants.
    pub fn states(self: &Arc<Self>, entry: usize, seed: u64) -> Result<LibraryStates, LoadError> {
        let (entry, functions) = self.entry(entry)?;
        let block = Arena::new(entry.state_bytes, "the states")?;
        let arena = Arena::new(entry.arena_bytes, "the arena")?;
        let header = StepHeader::serial(OBJECT_ABI_VERSION, place(&block), place(&arena));
        let mut context = context_of(header, entry.inputs.len() + entry.outputs.len());
        // SAFETY: by `open`'s contract the function is the entry's: it checks that states and arena are as large as it wants, and reads nothing else of the context.
        let status = unsafe { (functions.init)(context.as_mut_ptr().cast(), seed) };
        match status {
            0 => Ok(LibraryStates(block)),
            status => Err(LoadError::Library(functions.message(status))),
        }
    }

    fn entry(&self, number: usize) -> Result<&(LibraryEntry, EntryFunctions), LoadError> {
        self.entries.get(number).ok_or_else(|| LoadError::Library(format!("the library has no entry {number}")))
    }
}

/// Maps a library, with all that it needs at once: nothing is left to be missing when a step runs.
///
/// # Safety
/// As [`StepLibrary::open`].
unsafe fn map(path: &Path) -> Result<Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library as Mapped, RTLD_LOCAL, RTLD_NOW};
        // SAFETY: this function's own contract.
        unsafe { Mapped::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
    }
    #[cfg(not(unix))]
    {
        // SAFETY: this function's own contract.
        unsafe { Library::new(path) }
    }
}

/// The functions of an entry, after checking that the library has its manifest and that they agree about the arena.
///
/// # Safety
/// The entry must be one of the library's.
unsafe fn functions_of(library: &Library, entry: &LibraryEntry) -> Result<EntryFunctions, LoadError> {
    /// # Safety
    /// `T` must be the type of what the symbol names.
    unsafe fn find<T: Copy>(library: &Library, entry: &LibraryEntry, what: &str) -> Result<T, LoadError> {
        let name = format!("{}_{what}", entry.name);
        // SAFETY: this function's own contract.
        let found = unsafe { library.get::<T>(name.as_bytes()) };
        Ok(*found.map_err(|e| LoadError::Library(e.to_string()))?)
    }
    let differs = |what: &str| LoadError::Library(format!("`{}` has {what} than its manifest says", entry.name));
    // SAFETY: these are the types that the C header declares them with.
    let (manifest, functions) = unsafe {
        let functions = EntryFunctions {
            init: find(library, entry, "init")?,
            step: find(library, entry, "step")?,
            status_message: find(library, entry, "status_message")?,
            arena_bytes: find(library, entry, "arena_bytes")?,
        };
        (find::<*const c_char>(library, entry, "manifest")?, functions)
    };
    // SAFETY: by the contract it is the address of a text that ends with a 0.
    if unsafe { CStr::from_ptr(manifest) }.to_bytes() != entry.manifest.as_bytes() {
        return Err(differs("another manifest in memory"));
    }
    match functions.arena_bytes(1) == entry.arena_bytes as u64 {
        true => Ok(functions),
        false => Err(differs("an arena of another size")),
    }
}

impl EntryFunctions {
    fn arena_bytes(self, threads: u32) -> u64 {
        // SAFETY: by `StepLibrary::open`'s contract it takes any number, and touches nothing.
        unsafe { (self.arena_bytes)(threads) }
    }

    fn message(self, status: i32) -> String {
        // SAFETY: by `StepLibrary::open`'s contract it takes any number, and gives a text that ends with a 0 and stays as long as the library.
        unsafe { CStr::from_ptr((self.status_message)(status)) }.to_string_lossy().into_owned()
    }
}

/// The states of a library's entries, which only read them.
pub struct LibraryStates(Arena);

impl LibraryStates {
    /// Bytes of the block.
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Why a library's step has no results.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LibraryStepError {
    /// A check of the model failed, an index out of range for instance: the text names the line that it was declared on.
    #[error("{0}")]
    Check(String),
    /// The code refused to run, and touched nothing.
    #[error("the step refused to run: {0}")]
    Refused(String),
}

/// An entry with memory of its own for inputs, outputs and scratch, which reads states that others may read at the same time.
pub struct LibraryExecutable {
    functions: EntryFunctions,
    memory: PortMemory,
    arena: Arena,
    states: Arc<LibraryStates>,
    threads: Box<Threads>,
    /// A [`StepHeader`], and the ports' addresses.
    context: Vec<*mut u8>,
    /// What the step found out of the processor.
    processor: u64,
    _library: Arc<StepLibrary>,
}

// SAFETY: the addresses point into memory that moves along or is kept alive, which nobody else writes; nothing refers to the thread that made it.
unsafe impl Send for LibraryExecutable {}

impl LibraryExecutable {
    /// Gives an entry memory and threads, the caller's counted. It reads the states as the one that has started them lays them out.
    ///
    /// # Errors
    /// If there is no such entry, it changes states, they are fewer bytes than it wants, or memory or threads are not to be had.
    pub fn new(
        library: Arc<StepLibrary>,
        entry: usize,
        states: Arc<LibraryStates>,
        threads: usize,
    ) -> Result<Self, LoadError> {
        let (entry, functions) = library.entry(entry)?;
        if states.bytes() < entry.state_bytes {
            return Err(LoadError::States(format!("`{}` wants {} bytes of states", entry.name, entry.state_bytes)));
        }
        if entry.changes_states {
            return Err(LoadError::States(format!("`{}` changes states, so that it can't share them", entry.name)));
        }
        let threads = Box::new(Threads::of_process(threads)?);
        let arena_bytes = usize::try_from(functions.arena_bytes(threads.count() as u32)).unwrap_or(usize::MAX);
        let (functions, arena) = (*functions, Arena::new(arena_bytes, "the arena")?);
        let (memory, addresses) = ports_of(entry)?;
        let header = StepHeader::serial(OBJECT_ABI_VERSION, place(&states.0), place(&arena));
        let mut context = context_of(header, 0);
        context.extend(addresses);
        Ok(Self { functions, memory, arena, states, threads, context, processor: 0, _library: library })
    }

    /// Runs the step once. Allocates nothing, unless it fails.
    ///
    /// # Errors
    /// See [`LibraryStepError`]; outputs hold no particular values then.
    pub fn step(&mut self) -> Result<(), LibraryStepError> {
        let mut header = StepHeader::serial(OBJECT_ABI_VERSION, place(&self.states.0), place(&self.arena));
        header.processor = self.processor;
        // Steps of other threads have the pool: this one does everything by itself.
        let guard = self.threads.try_lock();
        if guard.is_some() {
            header.share_among(&self.threads);
        }
        let context = self.context.as_mut_ptr();
        // SAFETY: the context begins with room for a header, which is aligned as pointers are.
        unsafe { context.cast::<StepHeader>().write(header) };
        // SAFETY: by `StepLibrary::open`'s contract the function is the entry's, and the ports, each as large as the manifest says, stand in the order of its fields. It checks that states and arena are
        // large enough. Only this program has ports and arena; the step changes no state. The pool is locked if there are threads.
        let status = unsafe { (self.functions.step)(context.cast()) };
        // SAFETY: the header was written there.
        self.processor = unsafe { (*context.cast::<StepHeader>()).processor };
        match status {
            0 => Ok(()),
            1.. => Err(LibraryStepError::Check(self.functions.message(status))),
            _ => Err(LibraryStepError::Refused(self.functions.message(status))),
        }
    }

    /// Bytes of inputs, outputs and scratch memory.
    pub fn bytes(&self) -> usize {
        self.memory.arena.bytes() + self.arena.bytes()
    }

    /// The inputs, to write.
    pub fn inputs(&mut self) -> ProgramInputs<'_> {
        ProgramInputs(&mut self.memory)
    }
}

impl Deref for LibraryExecutable {
    type Target = PortMemory;

    fn deref(&self) -> &PortMemory {
        &self.memory
    }
}

/// Where memory starts, and how large it is.
fn place(memory: &Arena) -> (*mut u8, usize) {
    (memory.address(0), memory.bytes())
}

/// A header with room for so many ports' addresses behind it, which are null.
fn context_of(header: StepHeader, ports: usize) -> Vec<*mut u8> {
    const WORDS: usize = size_of::<StepHeader>() / size_of::<*mut u8>();
    const { assert!(align_of::<StepHeader>() == align_of::<*mut u8>(), "the context is made of pointers") };
    let mut context: Vec<*mut u8> = vec![std::ptr::null_mut(); WORDS + ports];
    // SAFETY: there are as many words, aligned as the header is.
    unsafe { context.as_mut_ptr().cast::<StepHeader>().write(header) };
    context
}

/// Memory for an entry's ports, and their addresses in the order of its context.
fn ports_of(entry: &LibraryEntry) -> Result<(PortMemory, Vec<*mut u8>), LoadError> {
    let too_large = || LoadError::OutOfMemory { what: "inputs and outputs", bytes: usize::MAX };
    let sides = [(PortKind::Input, &entry.inputs), (PortKind::Output, &entry.outputs)];
    let (mut ports, mut offsets, mut end) = (Ports::new(), vec![], 0usize);
    for (kind, (name, dtype, len)) in sides.into_iter().flat_map(|(kind, all)| all.iter().map(move |port| (kind, port)))
    {
        let port = Port { kind, name: name.clone(), dtype: *dtype, len: *len, offset: end };
        offsets.push(end);
        let bytes = len.checked_mul(dtype.size_bytes()).ok_or_else(too_large)?;
        end = end.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(ALIGN)).ok_or_else(too_large)?;
        if ports.entry(kind).or_default().insert(name.clone(), port).is_some() {
            return Err(crate::PlanError::DuplicatePort(name.clone()).into());
        }
    }
    let arena = Arena::new(end, "inputs and outputs")?;
    let addresses = offsets.into_iter().map(|offset| arena.address(offset)).collect();
    Ok((PortMemory { arena, ports }, addresses))
}
