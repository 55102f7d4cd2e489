//! Vectors made orthogonal, of length 1.

use super::Evaluator;

/// Orthonormalizes `count` vectors of `extent` doubles, which stand one after the other at the start of the scratch memory: in order, by Gram and Schmidt, each
/// projection twice (which brings the loss of orthogonality down to rounding).
pub fn orthonormalize<E: Evaluator>(e: &mut E, count: E::Word, extent: E::Word) {
    e.repeat(count, |e, number| {
        let vector = e.multiply_words(number, extent);
        let twice = e.word(2);
        e.repeat(twice, |e, _| {
            e.repeat(number, |e, earlier| {
                let earlier = e.multiply_words(earlier, extent);
                subtract_projection(e, vector, earlier, extent);
            });
        });
        let square = dot(e, vector, vector, extent);
        let norm = e.sqrt(square);
        e.repeat(extent, |e, i| {
            let at = e.add_words(vector, i);
            let value = e.load(at);
            let value = e.divide(value, norm);
            e.store(at, value);
        });
    });
}

/// Takes from a vector its part along another one of length 1; vectors by where they start.
fn subtract_projection<E: Evaluator>(e: &mut E, vector: E::Word, along: E::Word, extent: E::Word) {
    let dot = dot(e, vector, along, extent);
    e.repeat(extent, |e, i| {
        let (at, from) = (e.add_words(vector, i), e.add_words(along, i));
        let (value, part) = (e.load(at), e.load(from));
        let part = e.multiply(dot, part);
        let value = e.subtract(value, part);
        e.store(at, value);
    });
}

/// The scalar product of two vectors, by where they start.
fn dot<E: Evaluator>(e: &mut E, a: E::Word, b: E::Word, extent: E::Word) -> E::Float {
    e.sum(extent, |e, i| {
        let (a, b) = (e.add_words(a, i), e.add_words(b, i));
        let (a, b) = (e.load(a), e.load(b));
        e.multiply(a, b)
    })
}
