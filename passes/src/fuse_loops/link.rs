//! Two launches that may become one.

use super::uses::LaunchUses;
use kernel::{Access, BufferId, BufferKind, Kernel, Launch, Program, join_origins};
use std::collections::BTreeMap;

/// Loops are joined to as many iterations, if the longer of them has more: as many are enough for threads to share.
pub(super) const MIN_ITERATIONS: usize = 8;

/// Two launches of which the second reads what the first computes.
pub(super) struct Link {
    pub(super) buffer: BufferId,
    pub(super) producer: usize,
    pub(super) consumer: usize,
    /// Where the one launch stands that takes the place of both.
    pub(super) place: usize,
}

impl Link {
    /// The two launches that use a temporary buffer, if they are all, and may run one directly after the other.
    pub(super) fn through(program: &Program, uses: &LaunchUses, buffer: BufferId) -> Option<Self> {
        if program.buffer(buffer).kind != BufferKind::Temp {
            return None;
        }
        let (producer, consumer) = uses.only_two(buffer)?;
        let access = |place: usize| {
            let launch = &program.launches[place];
            let params = &program.kernels[launch.kernel as usize].params;
            let mut all = launch.args.iter().zip(params).filter(|(arg, _)| **arg == buffer).map(|(_, p)| p.access);
            all.next().filter(|_| all.next().is_none())
        };
        if !access(producer)?.stores() || access(consumer)? != Access::Read {
            return None;
        }
        let passes = |place: usize| !uses.conflict(program, &program.launches[place], producer + 1..consumer);
        let place = if passes(producer) {
            consumer
        } else if passes(consumer) {
            producer
        } else {
            return None;
        };
        let link = Self { buffer, producer, consumer, place };
        let (first, second) = (&program.launches[producer], &program.launches[consumer]);
        (!conflict(program, first, second, Some(buffer))).then_some(link)
    }

    /// What computes and what reads.
    pub(super) fn launches<'p>(&self, program: &'p Program) -> [&'p Launch; 2] {
        [self.producer, self.consumer].map(|place| &program.launches[place])
    }

    /// The name of the one kernel: that of the second, behind what the first one does.
    pub(super) fn name(&self, program: &Program) -> String {
        let [first, second] = self.launches(program).map(|launch| &*program.kernels[launch.kernel as usize].name);
        format!("{}_{second}", first.rsplit_once('_').map_or(first, |name| name.0))
    }

    /// Puts one launch in the place of both, and nothing in the other place, which it gives.
    pub(super) fn replace(
        &self,
        program: &mut Program,
        uses: &mut LaunchUses,
        kernel: Kernel,
        args: Vec<BufferId>,
    ) -> usize {
        for place in [self.producer, self.consumer] {
            uses.remove(place, &program.launches[place]);
        }
        program.kernels.push(kernel);
        let kernel = program.kernels.len() as u32 - 1;
        let [first, second] = self.launches(program).map(|launch| &*launch.origins);
        let origins = join_origins(first, second);
        program.launches[self.place] = Launch { kernel, args, origins };
        uses.insert(program, self.place);
        self.producer + self.consumer - self.place
    }
}

/// What the one kernel of a link is launched on.
pub(super) struct LinkArguments {
    /// The buffers, each once.
    pub(super) args: Vec<BufferId>,
    /// Where those of the two kernels are among them.
    pub(super) places: ArgumentPositions,
}

/// For each parameter of two kernels, where its buffer is among those that the one kernel is launched on; none for the buffer between the two.
pub(super) type ArgumentPositions = [Vec<Option<usize>>; 2];

impl LinkArguments {
    pub(super) fn of(program: &Program, link: &Link) -> Self {
        let mut args = vec![];
        let mut at: BTreeMap<BufferId, usize> = BTreeMap::new();
        let mut place = |arg: &BufferId| {
            (*arg != link.buffer).then(|| {
                *at.entry(*arg).or_insert_with(|| {
                    args.push(*arg);
                    args.len() - 1
                })
            })
        };
        let places = link.launches(program).map(|launch| launch.args.iter().map(&mut place).collect());
        Self { args, places }
    }
}

/// True if one of two launches writes what the other one uses, besides that buffer. A state and its next value count as one: they are to
/// share memory.
pub(super) fn conflict(program: &Program, a: &Launch, b: &Launch, besides: Option<BufferId>) -> bool {
    let of = |launch: &Launch| -> Vec<(BufferId, bool)> {
        let params = &program.kernels[launch.kernel as usize].params;
        let uses = launch.args.iter().zip(params).filter(|(arg, _)| Some(**arg) != besides);
        uses.map(|(arg, param)| (*arg, param.access.stores())).collect()
    };
    let others = of(b);
    of(a).iter().any(|&(x, writes)| others.iter().any(|&(y, wrote)| (writes || wrote) && is_one(program, x, y)))
}

fn is_one(program: &Program, a: BufferId, b: BufferId) -> bool {
    let state = |id| match &program.buffer(id).kind {
        BufferKind::State { name } | BufferKind::Next { name } => Some(name),
        _ => None,
    };
    a == b || (state(a).is_some() && state(a) == state(b))
}
