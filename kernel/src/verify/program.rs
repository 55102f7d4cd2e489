//! Invariants 11 to 13: buffers, launches, and what may share memory in a launch.

use super::{ErrorReport, InPlaceProofs};
use crate::text::TextLine;
use crate::{Access, Buffer, BufferId, BufferKind, Launch, Param, Program};
use std::collections::BTreeSet;

/// Checks buffers and launches.
pub(super) fn check(program: &Program, report: &mut ErrorReport) {
    let mut names = BTreeSet::new();
    for (at, kernel) in program.kernels.iter().enumerate() {
        if !names.insert(kernel.name.as_str()) {
            report.add(1, TextLine::Kernel(at), format!("there is another kernel `{}`", kernel.name));
        }
    }
    check_buffers(program, report);
    let mut written = vec![false; program.buffers.len()];
    for (at, launch) in program.launches.iter().enumerate() {
        check_launch(program, launch, TextLine::Launch(at), &mut written, report);
        if let Some(origin) = launch.origins.iter().find(|origin| program.origins.len() <= **origin as usize) {
            report.add(12, TextLine::Launch(at), format!("there is no origin #{origin}"));
        }
    }
    for (at, buffer) in program.buffers.iter().enumerate() {
        let must = matches!(buffer.kind, BufferKind::Output { .. } | BufferKind::Next { .. });
        if must && !written[at] {
            report.add(12, TextLine::Buffer(at), format!("no launch writes b{at}"));
        }
    }
}

fn check_buffers(program: &Program, report: &mut ErrorReport) {
    let mut ports = BTreeSet::new();
    let states = program.states();
    for (at, buffer) in program.buffers.iter().enumerate() {
        let site = TextLine::Buffer(at);
        let bytes = buffer.len.checked_mul(buffer.dtype.size_bytes()).filter(|&b| b <= isize::MAX as usize);
        if buffer.len == 0 || bytes.is_none() {
            report.add(11, site, format!("{} elements: at least 1 is needed, and they must fit memory", buffer.len));
        }
        let port = match &buffer.kind {
            BufferKind::Temp => continue,
            BufferKind::Constant { bytes: found } => {
                check_constant(buffer, found, bytes, site, report);
                continue;
            }
            BufferKind::Input { name } => ("input", name),
            BufferKind::Output { name } => ("output", name),
            BufferKind::State { name } => ("state", name),
            BufferKind::Next { name } => {
                let state = states.get(name.as_str()).map(|&at| &program.buffers[at]);
                if state.is_none_or(|s| (s.dtype, s.len) != (buffer.dtype, buffer.len)) {
                    report.add(11, site, format!("no state {name:?} has this type"));
                }
                ("next", name)
            }
        };
        if !ports.insert(port) {
            report.add(11, site, format!("there is another {} {:?}", port.0, port.1));
        }
    }
}

fn check_constant(buffer: &Buffer, found: &[u8], bytes: Option<usize>, site: TextLine, report: &mut ErrorReport) {
    if bytes != Some(found.len()) {
        report.add(11, site, format!("the constant has {} bytes, not those of {} elements", found.len(), buffer.len));
    }
    if buffer.dtype == crate::DType::Bool && found.iter().any(|&b| b > 1) {
        report.add(11, site, "a truth value in memory is 0 or 1");
    }
}

fn check_launch(program: &Program, launch: &Launch, site: TextLine, written: &mut [bool], report: &mut ErrorReport) {
    let Some(kernel) = program.kernels.get(launch.kernel as usize) else {
        return report.add(12, site, format!("there is no kernel number {}", launch.kernel));
    };
    if kernel.params.len() != launch.args.len() {
        let message = format!("{} buffers for {} parameters", launch.args.len(), kernel.params.len());
        return report.add(12, site, message);
    }
    for (arg, param) in launch.args.iter().zip(&kernel.params) {
        let Some(buffer) = program.buffers.get(arg.0 as usize) else {
            report.add(12, site, format!("there is no {arg}"));
            continue;
        };
        if (buffer.dtype, buffer.len) != (param.dtype, param.len) {
            let (b, p) = (buffer, param);
            report.add(12, site, format!("{arg} is {}[{}], the parameter is {}[{}]", b.dtype, b.len, p.dtype, p.len));
        }
        check_use(*arg, buffer, param, written[arg.0 as usize], site, report);
    }
    for (arg, param) in launch.args.iter().zip(&kernel.params) {
        if let Some(written) = written.get_mut(arg.0 as usize) {
            *written |= param.access.stores();
        }
    }
}

fn check_use(arg: BufferId, buffer: &Buffer, param: &Param, written: bool, site: TextLine, report: &mut ErrorReport) {
    match &buffer.kind {
        BufferKind::Input { .. } | BufferKind::Constant { .. } if param.access.stores() => {
            report.add(12, site, format!("{arg} is not to be written"));
        }
        BufferKind::Temp | BufferKind::Output { .. } | BufferKind::Next { .. }
            if !written && param.access == Access::Read =>
        {
            report.add(12, site, format!("{arg} is read before any launch writes it"));
        }
        _ => {}
    }
}

/// Invariant 13 for parameters that are bound to one buffer; overlapping buffers are the memory plan's affair.
pub(super) fn check_aliases(proofs: &mut InPlaceProofs<'_>, report: &mut ErrorReport) {
    for (at, launch) in proofs.program().launches.iter().enumerate() {
        for (p, a) in launch.args.iter().enumerate() {
            for (q, _) in launch.args.iter().enumerate().skip(p + 1).filter(|(_, b)| *b == a) {
                if let Err(why) = may_share(proofs, launch.kernel, p, q) {
                    report.add(13, TextLine::Launch(at), format!("p{p} and p{q} are both bound to {a}: {why}"));
                }
            }
        }
    }
}

/// Whether two parameters of a kernel may be bound to memory that starts at one address.
pub(super) fn may_share(proofs: &mut InPlaceProofs<'_>, kernel: u32, p: usize, q: usize) -> Result<(), String> {
    let params = &proofs.program().kernels[kernel as usize].params;
    match (params[p].access.stores(), params[q].access.stores()) {
        (false, false) => Ok(()),
        (false, true) => proofs.safe(kernel, p as u32, q as u32),
        (true, false) => proofs.safe(kernel, q as u32, p as u32),
        (true, true) => Err("both are written".into()),
    }
}
