//! Floats in JSON, to the bit: JSON has no NaN and no infinities.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A float that comes back as it was: a number where JSON has one, else its bits as text.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct ExactFloat(pub(in crate::train) f64);

impl PartialEq for ExactFloat {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for ExactFloat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.is_finite() {
            true => serializer.serialize_f64(self.0),
            false => serializer.serialize_str(&format!("{:016x}", self.0.to_bits())),
        }
    }
}

/// What may stand there.
#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Number(f64),
    Bits(String),
}

impl<'de> Deserialize<'de> for ExactFloat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Spelling::deserialize(deserializer)? {
            Spelling::Number(number) => Ok(Self(number)),
            Spelling::Bits(bits) => match u64::from_str_radix(&bits, 16) {
                Ok(bits) => Ok(Self(f64::from_bits(bits))),
                Err(_) => Err(serde::de::Error::custom(format!("{bits:?} is no float"))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_to_the_bit() {
        let odd = f64::from_bits(0x7ff8_0000_0000_0001);
        for x in [0.0, -0.0, 0.1, 1e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, odd] {
            let text = serde_json::to_string(&ExactFloat(x)).unwrap();
            assert_eq!(serde_json::from_str::<ExactFloat>(&text).unwrap(), ExactFloat(x), "{text}");
        }
        assert!(serde_json::from_str::<ExactFloat>("\"nothing\"").is_err());
    }
}
