#!/usr/bin/env python3
"""Times steps compiled ahead of time beside the same steps just in time, alternately, and prints a Markdown table of ratios.

    cargo build --release
    taskset -c 0 python3 tools/compare_objects.py [--rounds 5] [--seconds 2] [WORKLOAD...]

`gradc build` compiles each workload's step to an object for this machine, a C program calls it as `gradc bench` calls the step that it compiles: on a fixed
batch in memory, one thread, each step timed by itself, after a tenth of the time to warm up. The program's memory is on huge pages, as gradc's own is. Each
round runs both, the first of them by turns; what counts is the median of the rounds' medians. The ratio is the object's time by the other's: above 1 the
object is slower. GRADC_TARGET holds both to an instruction set, GRADC is the command if it isn't target/release/gradc, CC the C compiler if it isn't cc.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GRADC = os.environ.get("GRADC", os.path.join(ROOT, "target/release/gradc"))
# Below what the whole numbers of each input are: classes, words, symbols of a text.
WORKLOADS = {
    "cnn_mnist_b32": {"y": 10},
    "lstm_text": {"x": 10000, "y": 10},
    "transformer_lm": {"x": 65, "y": 65},
}

PROGRAM = r"""
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "@NAME.h"

enum { FEWEST = 10, MOST = 1000000 };

/* Zeros, on pages of 2 MiB if there are to be any, as gradc's own arena is. */
static void *memory(size_t bytes) {
    const size_t page = HUGE_PAGES ? 2097152 : 64, whole = (bytes / page + 1) * page;
    void *at = aligned_alloc(page, whole);
    if (!at) exit(3);
    if (HUGE_PAGES) madvise(at, whole, MADV_HUGEPAGE);
    return memset(at, 0, whole);
}

/* The i-th number of a stream, uniform in [0, 1): as `gradc bench` makes its batches. */
static float unit(uint64_t stream, uint64_t i) {
    uint64_t z = stream * 1000003 + i + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (float)((z ^ (z >> 31)) >> 40) / 16777216.0f;
}

static float *floats(uint64_t stream, size_t n) {
    float *x = memory(4 * n);
    for (size_t i = 0; i < n; i++) x[i] = unit(stream, i);
    return x;
}

static int32_t *integers(uint64_t stream, size_t n, int32_t below) {
    int32_t *x = memory(4 * n);
    for (size_t i = 0; i < n; i++) x[i] = (int32_t)(unit(stream, i) * (float)below);
    return x;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 1, start, *samples = malloc(MOST * sizeof *samples);
    int n = 0;
    int32_t status;
    @NAME_context context;
    memset(&context, 0, sizeof context);
    context.abi_version = @PREFIX_ABI_VERSION;
    context.states = memory(context.state_bytes = @PREFIX_STATE_BYTES);
    context.arena = memory(context.arena_bytes = @PREFIX_ARENA_BYTES(1));
@PORTS
    status = @NAME_init(&context, 0);
    for (start = now(); !status && now() - start < 0.1 * seconds;) status = @NAME_step(&context);
    for (start = now(); !status && (n < FEWEST || (n < MOST && now() - start < seconds)); n++) {
        double begun = now();
        status = @NAME_step(&context);
        samples[n] = 1e3 * (now() - begun);
    }
    if (status) {
        fprintf(stderr, "%s\n", @NAME_status_message(status));
        return 1;
    }
    qsort(samples, (size_t)n, sizeof *samples, ascending);
    printf("%.6g\n", samples[n / 2]);
    return 0;
}
"""


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def ports(manifest, below):
    """The lines of C that give the context its inputs and outputs."""
    lines = []
    for i, port in enumerate(manifest["inputs"]):
        n, field = math.prod(port["shape"]), port["field"]
        stream = 1002 if field == "y" else 1001 + 1000 * i
        values = {"f32": f"floats({stream}, {n})", "i32": f"integers({stream}, {n}, {below.get(field, 1)})"}
        lines.append(f"    context.inputs.{field} = {values[port['dtype']]};")
    lines += [f"    context.outputs.{port['field']} = memory({8 * math.prod(port['shape'])});" for port in manifest["outputs"]]
    return "\n".join(lines)


def compile_object(workload, folder, huge_pages):
    """The path of a program that prints the median step of a workload's object, in milliseconds."""
    name = f"{workload}_train"
    path = os.path.join(folder, name)
    run(GRADC, "build", workload, "--name", name, "-o", folder)
    with open(path + ".json") as file:
        manifest = json.load(file)
    text = PROGRAM.replace("@NAME", name).replace("@PREFIX", name.upper()).replace("@PORTS", ports(manifest, WORKLOADS[workload]))
    with open(path + ".c", "w") as file:
        file.write(text)
    run(os.environ.get("CC", "cc"), "-std=c11", "-O2", f"-DHUGE_PAGES={int(huge_pages)}", "-I", folder, path + ".c", path + ".o", "-lm", "-o", path)
    return path


def compare(workload, rounds, seconds, huge_pages):
    """Median steps in milliseconds: of the object, and just in time."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_object(workload, folder, huge_pages)
        bench = [GRADC, "bench", "--workload", workload, "--json", "--seconds", str(seconds), "--threads", "1"]
        kinds = [lambda: float(run(program, str(seconds))), lambda: json.loads(run(*bench))["step_ms"]]
        times = ([], [])
        for i in range(rounds):
            for kind in (i % 2, 1 - i % 2):
                times[kind].append(kinds[kind]())
    return tuple(statistics.median(of) for of in times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS], metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="for each run")
    parser.add_argument("--small-pages", action="store_true", help="give the object memory as malloc has it, on small pages")
    options = parser.parse_args()
    print("| step | object, ms | just in time, ms | ratio |\n|---|---|---|---|")
    for workload in options.workloads or WORKLOADS:
        ahead, just = compare(workload, options.rounds, options.seconds, not options.small_pages)
        print(f"| {workload} | {ahead:.3f} | {just:.3f} | {ahead / just:.3f} |", flush=True)


if __name__ == "__main__":
    main()
