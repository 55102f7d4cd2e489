//! The contents of a file of the cache.
//!
//! | bytes | what |
//! |---|---|
//! | 12 | `gradc-step-` and the version of this form |
//! | 32 | SHA-256 of everything after it |
//! | 32 | the key |
//! | | the graph's name; the memory report; places of checks; the object |
//!
//! Nothing is looked at before the checksum has been found right, and nothing is trusted to be well-formed after it.

use super::{Entry, Key};
use codegen::Object;
use passes::plan_memory::MemoryReport;
use sha2::{Digest, Sha256};

/// What a file starts with; the last byte is the version.
const MAGIC: &[u8; 12] = b"gradc-step-4";
/// What a check's place takes: a byte that says whether it is known, and its number.
const PLACE_BYTES: usize = 1 + 4;
/// Where the key is.
const KEY: usize = MAGIC.len() + 32;

/// The bytes of a file. The error says why there are none.
pub(super) fn encode(key: Key, name: &str, entry: &Entry) -> Result<Vec<u8>, String> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0; 32]);
    bytes.extend(key.0);
    bytes.extend((name.len() as u32).to_le_bytes());
    bytes.extend(name.as_bytes());
    let MemoryReport { arena, persistent, states, lower_bound } = entry.memory;
    for number in [arena, persistent, states, lower_bound] {
        bytes.extend((number as u64).to_le_bytes());
    }
    bytes.extend((entry.places.len() as u32).to_le_bytes());
    for place in &entry.places {
        bytes.push(u8::from(place.is_some()));
        bytes.extend(place.unwrap_or_default().to_le_bytes());
    }
    bytes.extend(entry.loaded.object().to_bytes().map_err(|e| e.to_string())?);
    Ok(seal(bytes))
}

/// The same bytes with the checksum of what they are.
pub(super) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = Sha256::digest(&bytes[KEY..]);
    bytes[MAGIC.len()..KEY].copy_from_slice(&sum);
    bytes
}

/// What a file holds: an entry whose code hasn't been loaded.
pub(super) struct Decoded {
    pub(super) object: Object,
    pub(super) memory: MemoryReport,
    pub(super) places: Vec<Option<u32>>,
}

/// What a file holds under this key.
pub(super) fn decode(bytes: &[u8], key: Key) -> Result<Decoded, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is no program of this version")?;
    let (sum, rest) = rest.split_first_chunk::<32>().ok_or("ends early")?;
    if Sha256::digest(rest)[..] != sum[..] {
        return Err("is damaged: its checksum is wrong".into());
    }
    let (found, mut rest) = rest.split_first_chunk::<32>().ok_or("ends early")?;
    if *found != key.0 {
        return Err("holds another program".into());
    }
    let name = number(&mut rest)?;
    rest = rest.get(name as usize..).ok_or("ends early")?;
    let (arena, persistent) = (size(&mut rest)?, size(&mut rest)?);
    let (states, lower_bound) = (size(&mut rest)?, size(&mut rest)?);
    let count = number(&mut rest)? as usize;
    if count > rest.len() / PLACE_BYTES {
        return Err("ends early".into());
    }
    let places: Vec<Option<u32>> = (0..count).map(|_| place(&mut rest)).collect::<Result<_, _>>()?;
    let object = Object::from_bytes(rest).map_err(|e| e.to_string())?;
    if object.checks().len() != places.len() {
        return Err("has places for other checks".into());
    }
    Ok(Decoded { object, memory: MemoryReport { arena, persistent, states, lower_bound }, places })
}

/// The graph's name in a file, from its first bytes; what doesn't look like a file of this version has none.
pub(super) fn name(start: &[u8]) -> Option<String> {
    let mut rest = start.strip_prefix(MAGIC)?.get(64..)?;
    let len = number(&mut rest).ok()?;
    String::from_utf8(rest.get(..len as usize)?.to_vec()).ok()
}

fn number(rest: &mut &[u8]) -> Result<u32, String> {
    let (first, after) = rest.split_first_chunk::<4>().ok_or("ends early")?;
    *rest = after;
    Ok(u32::from_le_bytes(*first))
}

/// Whether there is a place, and which.
fn place(rest: &mut &[u8]) -> Result<Option<u32>, String> {
    let (known, after) = rest.split_first().ok_or("ends early")?;
    *rest = after;
    let found = number(rest)?;
    match (known, found) {
        (0, 0) => Ok(None),
        (1, _) => Ok(Some(found)),
        _ => Err("has a place that is none".into()),
    }
}

fn size(rest: &mut &[u8]) -> Result<usize, String> {
    let (first, after) = rest.split_first_chunk::<8>().ok_or("ends early")?;
    *rest = after;
    usize::try_from(u64::from_le_bytes(*first)).map_err(|_| "has a size out of range".into())
}
