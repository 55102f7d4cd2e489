//! What a shared library has, read from its bytes before anything of it is mapped or runs.

use super::{BuiltEntry, BuiltError};
use object::{Architecture, BinaryFormat, File, Object, ObjectKind, ObjectSegment};
use runtime::host_target;
use std::collections::BTreeMap;

/// How the symbols end that are entries' manifests.
const MANIFEST: &str = "_manifest";
/// How those of the functions end that an entry has.
const FUNCTIONS: [&str; 4] = ["init", "step", "status_message", "arena_bytes"];

/// The entries of a shared library, by name. Nothing of it is loaded: the bytes may be anybody's.
///
/// # Errors
/// Bytes that are no shared library for this machine, or are cut off; no entry; a manifest that breaks a rule, or is of another version or machine.
pub fn library_entries(bytes: &[u8]) -> Result<Vec<BuiltEntry>, BuiltError> {
    let malformed = |e: object::read::Error| BuiltError::Malformed(e.to_string());
    let host = host_target().map_err(runtime::LoadError::from)?;
    let file = File::parse(bytes).map_err(malformed)?;
    let architecture = match host.instruction_set().is_x86() {
        true => Architecture::X86_64,
        false => Architecture::Aarch64,
    };
    if file.kind() != ObjectKind::Dynamic || file.architecture() != architecture {
        let what = format!("it is of the kind {:?}, for {:?}", file.kind(), file.architecture());
        return Err(BuiltError::Malformed(what));
    }
    // What is mapped beyond a file's end can't be touched.
    for segment in file.segments() {
        segment.data().map_err(malformed)?;
    }
    let symbols = symbols(&file)?;
    let mut entries = vec![];
    for (symbol, address) in &symbols {
        let Some(entry) = symbol.strip_suffix(MANIFEST) else { continue };
        let wrong = |what: String| BuiltError::Manifest { entry: entry.into(), what };
        let text = text_at(&file, *address).ok_or_else(|| wrong("it is no text that ends with a 0".into()))?;
        if let Some(missing) = FUNCTIONS.iter().find(|what| !symbols.contains_key(&format!("{entry}_{what}"))) {
            return Err(wrong(format!("there is no function `{entry}_{missing}`")));
        }
        entries.push(BuiltEntry::parse(entry, text, &host)?);
    }
    if entries.is_empty() { Err(BuiltError::NoEntry) } else { Ok(entries) }
}

/// The symbols that others find, as C has them, and where they are.
fn symbols(file: &File<'_>) -> Result<BTreeMap<String, u64>, BuiltError> {
    let exports = file.exports().map_err(|e| BuiltError::Malformed(e.to_string()))?;
    // On macOS C's names have a `_` before them.
    let underscore = file.format() == BinaryFormat::MachO;
    let named = exports.iter().filter_map(|export| {
        let name = std::str::from_utf8(export.name()).ok()?;
        let name = if underscore { name.strip_prefix('_')? } else { name };
        Some((name.to_owned(), export.address()))
    });
    Ok(named.collect())
}

/// The text at an address, up to the 0 behind it.
fn text_at<'d>(file: &File<'d>, address: u64) -> Option<&'d str> {
    let within = |segment: object::read::Segment<'d, '_>| -> Option<&'d [u8]> {
        let start = usize::try_from(address.checked_sub(segment.address())?).ok()?;
        segment.data().ok()?.get(start..)
    };
    let bytes = file.segments().find_map(within)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&bytes[..end]).ok()
}
