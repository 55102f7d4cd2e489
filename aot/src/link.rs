//! Puts functions and tables into one relocatable object.

use crate::AotError;
use crate::data::{Tables, texts};
use crate::layout::{ArenaLayout, Layout};
use crate::status::{check_messages, fault_messages};
use crate::wrapper::{self, WrapperBuilder};
use codegen::Object;
use cranelift::codegen::ir::{AbiParam, Signature, types};
use cranelift::module::{
    DataDescription, DataId, FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget, ModuleResult,
};
use cranelift_object::{ObjectBuilder, ObjectModule};
use sha2::{Digest, Sha256};
use target_lexicon::BinaryFormat;

/// A variant in the object.
pub(crate) struct Linked {
    /// Its step: a [`codegen::StepFn`].
    pub(crate) step: FuncId,
    pub(crate) constants: Option<DataId>,
    pub(crate) params: DataId,
    pub(crate) param_count: usize,
    /// How many checks the variants before it have.
    pub(crate) first_check: usize,
}

/// The object's bytes, with the manifest in them.
pub(crate) fn link(
    layout: &Layout<'_>,
    arena: &ArenaLayout,
    objects: &[Object],
    manifest: &str,
) -> Result<Vec<u8>, AotError> {
    let refused = |message: String| AotError::Object { name: layout.name.clone(), message };
    let Some(least) = objects.first() else { return Err(AotError::NoVariant { name: layout.name.clone() }) };
    let isa = codegen::position_independent_isa(least.target())?;
    let builder = ObjectBuilder::new(isa, layout.name.as_str(), cranelift::module::default_libcall_names());
    let mut builder = builder.map_err(|e| refused(e.to_string()))?;
    // So that linkers can leave out what a program doesn't call: initial values, messages.
    builder.per_function_section(true).per_data_object_section(true);
    let mut module = ObjectModule::new(builder);
    let tables = objects.iter().map(|object| Tables::of(object, layout)).collect::<Result<Vec<_>, _>>()?;
    fill(&mut module, (layout, arena), objects.iter().zip(tables).collect()).map_err(|e| refused(e.to_string()))?;
    let text = [manifest.as_bytes(), &[0]].concat();
    // Who loads the code finds it there; linkers leave it out of programs that don't ask.
    let symbol = format!("{}_manifest", layout.name);
    data(&mut module, &symbol, (Linkage::Export, 1), text).map_err(|e| refused(e.to_string()))?;
    module.finish().emit().map_err(|e| refused(e.to_string()))
}

fn fill(
    module: &mut ObjectModule,
    (layout, arena): (&Layout<'_>, &ArenaLayout),
    objects: Vec<(&Object, Tables)>,
) -> ModuleResult<()> {
    let (mut variants, mut checks) = (vec![], vec![]);
    for (object, tables) in objects {
        let set = object.target().instruction_set().name().replace('-', "_");
        let prefix = format!("{}.{set}", layout.name);
        let functions = define(module, object, &prefix)?;
        let constants = match tables.constants.is_empty() {
            true => None,
            false => Some(table(module, &format!("{prefix}.constants"), tables.constants)?),
        };
        variants.push(Linked {
            step: functions[object.step().as_u32() as usize],
            constants,
            params: table(module, &format!("{prefix}.params"), tables.params)?,
            param_count: tables.param_count,
            first_check: checks.len(),
        });
        checks.extend_from_slice(object.checks());
    }
    let (faults, checks) = (fault_messages(layout), check_messages(&checks));
    let mut code = WrapperBuilder { module, layout, arena, variants: &variants };
    wrapper::processor::define(&mut code)?;
    wrapper::parallel::define(&mut code)?;
    wrapper::step::define(&mut code)?;
    wrapper::init::define(&mut code)?;
    let counts = [faults.len(), checks.len()];
    wrapper::message::define(&mut code, texts(&[faults, checks].concat()), counts)
}

/// Adds a variant's functions under names of their own, which profilers show.
fn define(module: &mut ObjectModule, object: &Object, prefix: &str) -> ModuleResult<Vec<FuncId>> {
    // Calls among them are filled in by what they are named, not by how they are called; the step is called from outside.
    let mut signature = Signature::new(module.isa().default_call_conv());
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I32));
    let mut names: Vec<String> = (0..object.functions().len()).map(|at| format!("{prefix}.f{at}")).collect();
    for kernel in object.kernels() {
        names[kernel.function.as_u32() as usize] = format!("{prefix}.{}", kernel.name);
    }
    names[object.step().as_u32() as usize] = format!("{prefix}.step");
    let declare = |name: &String| module.declare_function(name, Linkage::Local, &signature);
    let ids: Vec<FuncId> = names.iter().map(declare).collect::<ModuleResult<_>>()?;
    for (id, function) in ids.iter().zip(object.functions()) {
        let relocs: Vec<ModuleReloc> = function.relocs().iter().map(|reloc| renumbered(reloc, &ids)).collect();
        module.define_function_bytes(*id, function.align(), function.bytes(), &relocs)?;
    }
    Ok(ids)
}

/// A reference with the module's number of a function in place of the object's.
fn renumbered(reloc: &ModuleReloc, ids: &[FuncId]) -> ModuleReloc {
    let name = match &reloc.name {
        ModuleRelocTarget::User { index, .. } => ids[*index as usize].into(),
        ModuleRelocTarget::FunctionOffset(id, offset) => {
            ModuleRelocTarget::FunctionOffset(ids[id.as_u32() as usize], *offset)
        }
        other => other.clone(),
    };
    ModuleReloc { name, ..reloc.clone() }
}

/// Adds a read-only table.
pub(crate) fn table(module: &mut ObjectModule, name: &str, bytes: Vec<u8>) -> ModuleResult<DataId> {
    data(module, name, (Linkage::Local, runtime::ALIGN), bytes)
}

/// Adds a read-only table that several objects have, called by what it holds, so that linkers keep one of them: entries for several sizes of a batch have the same weights. Other systems than those
/// with ELF have no such symbols that all linkers understand alike.
pub(crate) fn common_table(module: &mut ObjectModule, name: &str, bytes: Vec<u8>) -> ModuleResult<DataId> {
    if bytes.is_empty() || module.isa().triple().binary_format != BinaryFormat::Elf {
        return table(module, name, bytes);
    }
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    data(module, &format!("gradc.table.{digest}"), (Linkage::Preemptible, runtime::ALIGN), bytes)
}

/// Adds read-only bytes, aligned so.
fn data(
    module: &mut ObjectModule,
    name: &str,
    (linkage, align): (Linkage, usize),
    mut bytes: Vec<u8>,
) -> ModuleResult<DataId> {
    let id = module.declare_data(name, linkage, false, false)?;
    let mut data = DataDescription::new();
    if bytes.is_empty() {
        bytes.push(0);
    }
    data.define(bytes.into_boxed_slice());
    data.set_align(align as u64);
    module.define_data(id, &data)?;
    Ok(id)
}
