//! Which values the settings of optimizers and losses may have.

/// A rate, a decay, an epsilon: finite, at least 0.
pub(crate) fn not_negative(name: &str, value: f64) -> Result<(), String> {
    check(name, value, value >= 0.0 && value.is_finite(), "finite and at least 0")
}

/// The share of an old value in a new one: at least 0 and at most 1.
pub(crate) fn share(name: &str, value: f64) -> Result<(), String> {
    check(name, value, (0.0..=1.0).contains(&value), "at least 0 and at most 1")
}

/// The decay of a mean whose start is corrected for: at least 0 and below 1.
pub(crate) fn decay(name: &str, value: f64) -> Result<(), String> {
    check(name, value, (0.0..1.0).contains(&value), "at least 0 and below 1")
}

/// A limit: above 0.
pub(crate) fn positive(name: &str, value: f64) -> Result<(), String> {
    check(name, value, value > 0.0, "above 0")
}

fn check(name: &str, value: f64, holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{name} must be {rule}, not {value}")) }
}
