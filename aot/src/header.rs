//! The C header of an entry, which C++ takes as well.

use crate::layout::{ArenaLayout, Layout, PortDirection, PortField};
use crate::{ABI_VERSION, EntryPoint};
use kernel::DType;
use runtime::ALIGN;
use std::fmt::Write;

/// The header's text.
pub(crate) fn header(entry: &EntryPoint, layout: &Layout<'_>, arena: &ArenaLayout) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write(&mut text, entry, layout, arena);
    text
}

fn write(f: &mut String, entry: &EntryPoint, layout: &Layout<'_>, arena: &ArenaLayout) -> std::fmt::Result {
    let (name, prefix) = (&layout.name, layout.prefix());
    let sets: Vec<&str> = layout.sets.iter().map(|set| set.name()).collect();
    writeln!(f, "/* `{name}`: a step compiled by gradc for {} ({}).", layout.triple, sets.join(", "))?;
    for line in entry.about.lines() {
        // What stands there can't end the comment.
        writeln!(f, " * {}", line.replace("*/", "* /"))?;
    }
    writeln!(
        f,
        " *\n * All memory is the caller's; nothing is allocated, and nothing is kept between calls but what stands in it. Start with a context of zeros:\n *"
    )?;
    writeln!(f, " *     {name}_context context = {{0}};\n *     context.abi_version = {prefix}_ABI_VERSION;")?;
    writeln!(
        f,
        " *     context.states = aligned_alloc({prefix}_ALIGN, {prefix}_STATE_BYTES); context.state_bytes = {prefix}_STATE_BYTES;"
    )?;
    writeln!(
        f,
        " *     context.arena = aligned_alloc({prefix}_ALIGN, {prefix}_ARENA_BYTES(1)); context.arena_bytes = {prefix}_ARENA_BYTES(1);"
    )?;
    writeln!(
        f,
        " *     context.inputs..., context.outputs...: your arrays\n *     status = {name}_init(&context, 0); status = {name}_step(&context); ..."
    )?;
    writeln!(
        f,
        " *\n * A status is 0 for success, above 0 for a check of the model that failed, below 0 for a fault of the call; {name}_status_message tells."
    )?;
    writeln!(f, " * After a status other than 0, outputs and states hold no particular values.\n */")?;
    writeln!(f, "#ifndef GRADC_{prefix}_H\n#define GRADC_{prefix}_H\n\n#include <stdint.h>\n")?;
    writeln!(f, "#ifdef __cplusplus\nextern \"C\" {{\n#endif\n")?;
    f.push_str(SHARED);
    write_sizes(f, layout, arena)?;
    write_context(f, layout)?;
    write_functions(f, layout)?;
    writeln!(f, "\n#ifdef __cplusplus\n}}\n#endif\n\n#endif")
}

/// What the headers of all entries declare alike.
const SHARED: &str = "#ifndef GRADC_PARALLEL_FOR\n#define GRADC_PARALLEL_FOR\n\
         /* Runs iterations begin..end of a loop as the thread of that number; to be called by a gradc_parallel_for. */\n\
         typedef void (*gradc_task)(void *job, uint32_t thread, int64_t begin, int64_t end);\n\
         /* Calls task(job, thread, begin, end) for ranges that make up 0..extent, at the same time on threads 0..threads, each number by one thread at a time,\n\
         \x20* and returns when all are done. Results are the same to the bit however the iterations are shared out. */\n\
         typedef void (*gradc_parallel_for)(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent);\n\
         #endif\n\n";

fn write_sizes(f: &mut String, layout: &Layout<'_>, arena: &ArenaLayout) -> std::fmt::Result {
    let prefix = layout.prefix();
    writeln!(f, "#define {prefix}_ABI_VERSION {ABI_VERSION}u")?;
    writeln!(f, "/* What states and arena must be aligned to. */\n#define {prefix}_ALIGN {ALIGN}")?;
    writeln!(f, "#define {prefix}_STATE_BYTES UINT64_C({})", layout.states.bytes)?;
    writeln!(f, "/* For so many threads, at least 1. */")?;
    let (start, each) = (arena.scratch, arena.scratch_bytes);
    writeln!(f, "#define {prefix}_ARENA_BYTES(threads) (UINT64_C({start}) + UINT64_C({each}) * (threads))\n")?;
    if !layout.states.fields.is_empty() {
        writeln!(f, "/* Where each state starts, in bytes, and its type and shape.{} */", shared(layout))?;
    }
    for state in &layout.states.fields {
        let c_name = state.c_name.to_uppercase();
        writeln!(
            f,
            "#define {prefix}_STATE_{c_name} UINT64_C({}) /* {} {} {:?} */",
            state.offset,
            quoted(&state.name),
            c_type(state.dtype),
            state.dims
        )?;
    }
    writeln!(f)
}

/// Who else uses the block.
fn shared(layout: &Layout<'_>) -> String {
    match layout.states.entries.len() {
        0 | 1 => String::new(),
        _ => format!(" One block serves {}: their headers have the same offsets.", layout.states.entries.join(", ")),
    }
}

fn write_context(f: &mut String, layout: &Layout<'_>) -> std::fmt::Result {
    let name = &layout.name;
    writeln!(
        f,
        "/* One for each thread that runs steps at a time. Zeros but for what is filled in. */\ntypedef struct {name}_context {{"
    )?;
    let fields = [
        ("uint32_t abi_version", "ABI_VERSION of this header"),
        ("uint32_t threads", "that parallel_for uses; 0 and 1 are the same"),
        ("void *states", "what the step learns and keeps, at the offsets above"),
        ("uint64_t state_bytes", ""),
        ("void *arena", "scratch memory; holds nothing between steps"),
        ("uint64_t arena_bytes", ""),
        ("gradc_parallel_for parallel_for", "null: the calling thread does everything"),
        ("void *user", "handed to parallel_for"),
        ("uint64_t processor", "0 at first; then what the step found out"),
    ];
    for (field, what) in fields {
        let comment = if what.is_empty() { String::new() } else { format!(" /* {what} */") };
        writeln!(f, "    {field};{comment}")?;
    }
    for side in [PortDirection::Input, PortDirection::Output] {
        if layout.side(side).next().is_none() {
            continue;
        }
        writeln!(f, "    struct {{")?;
        for port in layout.side(side) {
            let constant = if side == PortDirection::Input { "const " } else { "" };
            writeln!(f, "        {constant}{} *{}; /* {} */", c_type(port.dtype), port.c_name, describe(port))?;
        }
        writeln!(f, "    }} {};", side.name())?;
    }
    writeln!(f, "}} {name}_context;\n")
}

fn write_functions(f: &mut String, layout: &Layout<'_>) -> std::fmt::Result {
    let name = &layout.name;
    writeln!(
        f,
        "/* Gives the states the values that they start with; random ones, and those that random ops draw later, follow from the seed. */\nint32_t {name}_init({name}_context *context, uint64_t seed);"
    )?;
    writeln!(f, "/* Runs one step. */\nint32_t {name}_step({name}_context *context);")?;
    writeln!(
        f,
        "/* What a status says, in English; never null, never freed. */\nconst char *{name}_status_message(int32_t status);"
    )?;
    writeln!(f, "/* ARENA_BYTES, for those who can't read macros. */\nuint64_t {name}_arena_bytes(uint32_t threads);")?;
    writeln!(
        f,
        "/* {name}.json as a text, for those who load the code while they run. */\nextern const char {name}_manifest[];"
    )
}

/// `"image" [32, 28, 28, 1]`, with what its address must be a multiple of where that is more than its elements need.
fn describe(port: &PortField) -> String {
    let dims: Vec<String> = port.dims.iter().map(usize::to_string).collect();
    let note = match port.dtype {
        DType::Bool => ", 0 or 1 each",
        DType::F16 => ", the bits of half-precision floats",
        DType::Bf16 => ", the upper halves of floats",
        _ => "",
    };
    let align =
        if port.align > port.dtype.size_bytes() { format!(", aligned to {} bytes", port.align) } else { String::new() };
    format!("{} [{}]{note}{align}", quoted(&port.name), dims.join(", "))
}

/// A name in a comment.
fn quoted(name: &str) -> String {
    format!("{name:?}").replace("*/", "* /").replace("/*", "/ *")
}

/// The type of elements in C.
fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::U16 | DType::Bf16 | DType::F16 => "uint16_t",
        DType::I64 => "int64_t",
        DType::I32 => "int32_t",
        DType::I16 => "int16_t",
        DType::I8 => "int8_t",
        DType::U64 => "uint64_t",
        DType::U32 => "uint32_t",
        DType::U8 | DType::Bool => "uint8_t",
    }
}
