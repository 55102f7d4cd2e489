//! Room for elements whose number a caller chose: an allocation that fails would end the process.

use super::DataError;

/// From so many bytes on it is asked whether the machine has them: less is cheaper to use than to ask for.
const LARGE: usize = 1 << 28;

/// Makes room for that many elements more; `None` is a number beyond all numbers.
///
/// # Errors
/// If memory doesn't hold them; `what` says what they are.
pub(super) fn reserve<T>(elements: &mut Vec<T>, more: Option<usize>, what: &str) -> Result<(), DataError> {
    let size = more.and_then(|more| elements.len().checked_add(more)?.checked_mul(size_of::<T>()));
    let is_there = |bytes: usize| bytes < LARGE || available().is_none_or(|available| bytes <= available);
    match (more, size) {
        (Some(more), Some(bytes)) if is_there(bytes) && elements.try_reserve(more).is_ok() => Ok(()),
        (_, Some(bytes)) => Err(DataError::Dataset(format!("{what}: memory doesn't hold {bytes} bytes"))),
        _ => Err(DataError::Dataset(format!("{what}: more bytes than a machine can number"))),
    }
}

/// The bytes that can be used without swapping, where the system tells. Linux grants more than there is, and ends the process that uses it.
fn available() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_no_machine_has_is_refused_with_its_bytes() {
        let mut elements: Vec<i32> = vec![7];
        assert!(reserve(&mut elements, Some(100), "a row").is_ok() && elements.capacity() > 100);
        let mut refused = |more| reserve(&mut elements, more, "rows").unwrap_err().to_string();
        assert!(refused(Some(1 << 45)).contains("rows: memory doesn't hold 140737488355332 bytes"));
        for beyond in [Some(usize::MAX), Some(usize::MAX / 4), None] {
            assert!(refused(beyond).contains("more bytes than a machine can number"), "{beyond:?}");
        }
    }
}
