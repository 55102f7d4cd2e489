//! C programs that call any step: written by what the manifest says of it.

use super::Built;
use serde_json::Value as Json;
use std::fmt::Write;
use std::path::PathBuf;

/// Writes a program that reads the inputs from a file, one after the other, runs so many steps on them and prints the bytes of each step's outputs, a line for each.
/// Its argument is the number of threads.
pub(super) fn write(built: &Built, steps: usize) -> PathBuf {
    let manifest: Json =
        serde_json::from_slice(&std::fs::read(built.path(&format!("{}.json", built.name))).unwrap()).unwrap();
    let (name, prefix) = (&built.name, built.name.to_uppercase());
    let mut ports = String::new();
    for (side, is_input) in [("inputs", true), ("outputs", false)] {
        for port in manifest[side].as_array().unwrap() {
            let elements: u64 =
                port["shape"].as_array().unwrap().iter().map(|extent| extent.as_u64().unwrap()).product();
            let (field, bytes) =
                (port["field"].as_str().unwrap(), elements * bytes_of(port["dtype"].as_str().unwrap()));
            writeln!(
                ports,
                "    context.{side}.{field} = memory({bytes}); add(context.{side}.{field}, {bytes}, {});",
                u8::from(is_input)
            )
            .unwrap();
        }
    }
    let text = TEMPLATE.replace("@NAME", name).replace("@PREFIX", &prefix).replace("@PORTS", &ports);
    let text = text.replace("@INPUTS", built.path("inputs").to_str().unwrap()).replace("@STEPS", &steps.to_string());
    let path = built.path("driver.c");
    std::fs::write(&path, text).unwrap();
    path
}

fn bytes_of(dtype: &str) -> u64 {
    match dtype {
        "f64" | "i64" => 8,
        "f32" | "i32" => 4,
        "bf16" | "f16" => 2,
        _ => 1,
    }
}

const TEMPLATE: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "@NAME.h"

static struct { const void *at; size_t bytes; int is_input; } ports[64];
static int count;

static void *memory(size_t bytes) {
    void *at = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!at) exit(3);
    memset(at, 0, bytes);
    return at;
}

static void add(const void *at, size_t bytes, int is_input) {
    ports[count].at = at;
    ports[count].bytes = bytes;
    ports[count].is_input = is_input;
    count++;
}

struct part { gradc_task task; void *job; uint32_t thread; int64_t begin, end; };

static void *run_part(void *argument) {
    struct part *part = (struct part *)argument;
    part->task(part->job, part->thread, part->begin, part->end);
    return NULL;
}

static void parallel_for(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent) {
    struct part parts[16];
    pthread_t workers[16];
    uint32_t t;
    ++*(long *)user;
    for (t = 0; t < threads; t++) {
        parts[t].task = task; parts[t].job = job; parts[t].thread = t;
        parts[t].begin = extent * t / threads; parts[t].end = extent * (t + 1) / threads;
        if (t > 0 && pthread_create(&workers[t], NULL, run_part, &parts[t])) exit(4);
    }
    run_part(&parts[0]);
    for (t = 1; t < threads; t++) pthread_join(workers[t], NULL);
}

int main(int argc, char **argv) {
    @NAME_context context;
    long loops = 0;
    uint32_t threads = argc > 1 ? (uint32_t)atoi(argv[1]) : 1;
    int step, p;
    size_t i;
    FILE *file = fopen("@INPUTS", "rb");
    memset(&context, 0, sizeof context);
    context.abi_version = @PREFIX_ABI_VERSION;
    context.threads = threads;
    context.parallel_for = threads > 1 ? parallel_for : 0;
    context.user = &loops;
    context.state_bytes = @PREFIX_STATE_BYTES;
    context.states = memory(@PREFIX_STATE_BYTES);
    context.arena_bytes = @PREFIX_ARENA_BYTES(threads);
    if (context.arena_bytes != @NAME_arena_bytes(threads)) return 5;
    context.arena = memory(context.arena_bytes);
@PORTS
    for (p = 0; p < count; p++) {
        if (ports[p].is_input && (!file || fread((void *)ports[p].at, 1, ports[p].bytes, file) != ports[p].bytes)) return 6;
    }
    if (@NAME_init(&context, 0)) return 7;
    for (step = 0; step < @STEPS; step++) {
        int32_t status = @NAME_step(&context);
        if (status) { fprintf(stderr, "%s\n", @NAME_status_message(status)); return 8; }
        for (p = 0; p < count; p++) {
            if (ports[p].is_input) continue;
            for (i = 0; i < ports[p].bytes; i++) printf("%02x", ((const unsigned char *)ports[p].at)[i]);
            printf("\n");
        }
    }
    if (threads > 1 && loops == 0) return 9;
    for (p = 0; p < count; p++) free((void *)ports[p].at);
    free(context.states);
    free(context.arena);
    if (file) fclose(file);
    return 0;
}
"#;
