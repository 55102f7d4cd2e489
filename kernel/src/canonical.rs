//! Kernels that are the same code under other names: they are transformed, verified and compiled once.

use crate::walk::refresh;
use crate::{Code, Fresh, Kernel, Program};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

impl Kernel {
    /// This kernel without a name, its values and indices numbered in the order of their binding. Equal for kernels that are the same
    /// code; serves as a key.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let body = refresh(&self.body, &mut Fresh::new());
        Self::new(String::new(), Code { params: self.params.clone(), locals: self.locals.clone(), body })
    }
}

impl Program {
    /// For each kernel, the position of the first one that is the same code: its own, if none is before it.
    #[expect(
        clippy::mutable_key_type,
        reason = "the number is kept when it is first asked for, and follows from the code"
    )]
    pub fn first_of_same_code(&self) -> Vec<usize> {
        let mut first: BTreeMap<ByCode<Kernel>, usize> = BTreeMap::new();
        let mut firsts: Vec<usize> = Vec::with_capacity(self.kernels.len());
        for (at, equal) in self.first_of_equal().into_iter().enumerate() {
            if equal < at {
                firsts.push(firsts[equal]);
                continue;
            }
            firsts.push(*first.entry(ByCode(self.kernels[at].canonical())).or_insert(at));
        }
        firsts
    }

    /// For each kernel, the position of the first one that differs at most in its name: its own, if none is before it. Layers that are
    /// alike are lowered to such kernels; whatever looks at kernels one by one need look at the first only.
    #[expect(
        clippy::mutable_key_type,
        reason = "the number is kept when it is first asked for, and follows from the code"
    )]
    pub fn first_of_equal(&self) -> Vec<usize> {
        let mut first: BTreeMap<ByCode<&Kernel>, usize> = BTreeMap::new();
        self.kernels.iter().enumerate().map(|(at, kernel)| *first.entry(ByCode(kernel)).or_insert(at)).collect()
    }

    /// Has kernels that differ at most in their names share their code.
    pub fn share_code(&mut self) {
        for (at, first) in self.first_of_equal().into_iter().enumerate() {
            let (before, rest) = self.kernels.split_at_mut(at);
            if let Some(first) = before.get(first) {
                rest[0].take_code_of(first);
            }
        }
    }

    /// Changes every kernel; those that differ only in their names are changed once, and share their code before and after.
    ///
    /// # Errors
    /// What `change` fails with; it must not look at the name but for that.
    pub fn change_kernels<E>(&mut self, mut change: impl FnMut(&mut Kernel) -> Result<(), E>) -> Result<(), E> {
        let firsts = self.first_of_equal();
        let nothing = Kernel::new(String::new(), Code::default());
        for (at, &first) in firsts.iter().enumerate() {
            if first < at {
                // Whoever shares the first one's code would have it copied when it is written to.
                self.kernels[at].take_code_of(&nothing);
            }
        }
        let mut result = Ok(());
        for (at, &first) in firsts.iter().enumerate() {
            let (done, rest) = self.kernels.split_at_mut(at);
            match done.get(first) {
                Some(first) => rest[0].take_code_of(first),
                None if result.is_ok() => result = change(&mut rest[0]),
                None => {}
            }
        }
        result
    }
}

/// The codes of kernels that have been seen.
#[derive(Debug, Default)]
pub struct CodePool(BTreeSet<ByCode<Kernel>>);

impl CodePool {
    /// Has a kernel share the code of an equal one that has been seen, if there is one.
    pub fn share(&mut self, kernel: &mut Kernel) {
        // The empty name is that of all that stand here.
        let mut unnamed = Kernel::new(String::new(), Code::default());
        unnamed.take_code_of(kernel);
        let unnamed = ByCode(unnamed);
        match self.0.get(&unnamed) {
            Some(ByCode(known)) => kernel.take_code_of(known),
            None => {
                self.0.insert(unnamed);
            }
        }
    }
}

/// A kernel that is ordered by its code.
#[derive(Debug)]
struct ByCode<K>(K);

impl<K: std::borrow::Borrow<Kernel>> Ord for ByCode<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.borrow().compare_code(other.0.borrow())
    }
}

impl<K: std::borrow::Borrow<Kernel>> PartialOrd for ByCode<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: std::borrow::Borrow<Kernel>> PartialEq for ByCode<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: std::borrow::Borrow<Kernel>> Eq for ByCode<K> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_matter_and_code_does() {
        let text = |name: &str, i: u32, v: u32, c: &str| {
            format!(
                "kernel {name}(p0: write f32[8]) {{ for i{i} in 0..8 {{ let v{v} = {c} store p0[i{i}] = neg(v{v}) }} }}"
            )
        };
        let kernel = |t: String| t.parse::<Kernel>().unwrap();
        let a = kernel(text("a", 3, 9, "1.0f32"));
        assert_eq!(a.canonical(), kernel(text("b", 0, 0, "1.0f32")).canonical());
        assert_ne!(a.canonical(), kernel(text("a", 3, 9, "2.0f32")).canonical());
        let program = format!(
            "program \"p\"\n{}\n{}\n{}",
            text("a", 0, 0, "1.0f32"),
            text("b", 5, 2, "1.0f32"),
            text("c", 5, 2, "3.0f32")
        );
        let program: Program = program.parse().unwrap();
        assert_eq!(program.first_of_same_code(), [0, 0, 2]);
    }

    #[test]
    fn kernels_that_differ_in_names_are_changed_once() {
        let text = |name: &str, c: &str| {
            format!("kernel {name}(p0: write f32[8]) {{ for i0 in 0..8 {{ store p0[i0] = {c} }} }}")
        };
        let kernels = [text("a", "1.0f32"), text("b", "2.0f32"), text("c", "1.0f32")].join("\n");
        let mut program: Program = format!("program \"p\"\n{kernels}").parse().unwrap();
        assert_eq!(program.first_of_equal(), [0, 1, 0]);
        let mut changed = vec![];
        let change = |kernel: &mut Kernel| {
            changed.push(kernel.name.clone());
            kernel.params[0].len = 16;
            if changed.len() > 2 { Err("a third kernel") } else { Ok(()) }
        };
        assert_eq!(program.change_kernels(change), Ok(()));
        assert_eq!(changed, ["a", "b"]);
        let names: Vec<(&str, usize)> = program.kernels.iter().map(|k| (k.name.as_str(), k.params[0].len)).collect();
        assert_eq!(names, [("a", 16), ("b", 16), ("c", 16)]);
    }
}
