//! Which launches use a buffer, so that looking at one buffer needn't look at all launches.

use kernel::{BufferId, BufferKind, Launch, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The places of launches by what they use.
pub(super) struct LaunchUses {
    /// For each buffer, the first of those that are one with it: a state and its next value are to share memory.
    one_with: Vec<BufferId>,
    /// For each buffer, the launches that use it.
    users: Vec<BTreeSet<usize>>,
    /// For each first buffer, the launches that use it or one that is one with it.
    users_of_all: Vec<BTreeSet<usize>>,
    /// For each first buffer, those of them that write.
    writers_of_all: Vec<BTreeSet<usize>>,
}

impl LaunchUses {
    pub(super) fn of(program: &Program) -> Self {
        let mut firsts: BTreeMap<&str, BufferId> = BTreeMap::new();
        let one_with = program.buffers.iter().enumerate().map(|(at, buffer)| {
            let id = BufferId(at as u32);
            match &buffer.kind {
                BufferKind::State { name } | BufferKind::Next { name } => *firsts.entry(name).or_insert(id),
                _ => id,
            }
        });
        let none = || vec![BTreeSet::new(); program.buffers.len()];
        let one_with = one_with.collect();
        let mut uses = Self { one_with, users: none(), users_of_all: none(), writers_of_all: none() };
        for place in 0..program.launches.len() {
            uses.insert(program, place);
        }
        uses
    }

    /// Takes in the launch at a place.
    pub(super) fn insert(&mut self, program: &Program, place: usize) {
        let launch = &program.launches[place];
        for (arg, param) in launch.args.iter().zip(&program.kernels[launch.kernel as usize].params) {
            let first = self.one_with[arg.0 as usize].0 as usize;
            self.users[arg.0 as usize].insert(place);
            self.users_of_all[first].insert(place);
            if param.access.stores() {
                self.writers_of_all[first].insert(place);
            }
        }
    }

    /// Forgets the launch at a place.
    pub(super) fn remove(&mut self, place: usize, launch: &Launch) {
        for arg in &launch.args {
            let first = self.one_with[arg.0 as usize].0 as usize;
            self.users[arg.0 as usize].remove(&place);
            self.users_of_all[first].remove(&place);
            self.writers_of_all[first].remove(&place);
        }
    }

    /// The launches that use a buffer, if they are two.
    pub(super) fn only_two(&self, buffer: BufferId) -> Option<(usize, usize)> {
        let mut users = self.users[buffer.0 as usize].iter();
        match (users.next(), users.next(), users.next()) {
            (Some(&first), Some(&second), None) => Some((first, second)),
            _ => None,
        }
    }

    /// True if a launch writes what one of a range of launches uses, or uses what one of them writes.
    pub(super) fn conflict(&self, program: &Program, launch: &Launch, range: Range<usize>) -> bool {
        let params = &program.kernels[launch.kernel as usize].params;
        launch.args.iter().zip(params).any(|(arg, param)| {
            let first = self.one_with[arg.0 as usize].0 as usize;
            let others = if param.access.stores() { &self.users_of_all } else { &self.writers_of_all };
            others[first].range(range.clone()).next().is_some()
        })
    }
}
