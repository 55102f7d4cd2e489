/* Calls a step wrongly in many ways; each allocation ends where a page that can't be touched begins. Prints what the step says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "words.h"

/* Memory that ends at a guard page; what is before it, up to a page, is filled, and looked at afterwards. */
static unsigned char *guarded(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (bytes + page - 1) / page * page;
    unsigned char *at = (unsigned char *)mmap(NULL, pages + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) exit(2);
    if (mprotect(at, page, PROT_NONE) || mprotect(at + page + pages, page, PROT_NONE)) exit(2);
    return at + page + (pages - bytes);
}

static words_context fine;
static int32_t x[64 * 6], y[64];
static float loss;

static void serial(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent) {
    (void)user;
    (void)threads;
    task(job, 0, 0, extent);
}

static void wild(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent) {
    (void)user;
    task(job, threads, 0, extent);
    task(job, 0, -1, extent);
    task(job, 0, 0, extent + 1);
    task(job, 0, extent, 0);
}

static void tell(const char *what, int32_t status) {
    printf("%s: %d %s\n", what, (int)status, words_status_message(status));
}

int main(void) {
    words_context c;
    float kept;
    memset(&fine, 0, sizeof fine);
    fine.abi_version = WORDS_ABI_VERSION;
    fine.threads = 1;
    fine.states = guarded(WORDS_STATE_BYTES);
    fine.state_bytes = WORDS_STATE_BYTES;
    fine.arena = guarded(WORDS_ARENA_BYTES(1));
    fine.arena_bytes = WORDS_ARENA_BYTES(1);
    fine.inputs.x = x;
    fine.inputs.y = y;
    fine.outputs.loss = &loss;
    if (words_init(&fine, 0)) return 3;

    tell("no context", words_step(NULL));
    c = fine, c.abi_version = 7;
    tell("other version", words_step(&c));
    c = fine, c.states = NULL;
    tell("no states", words_step(&c));
    c = fine, c.states = (char *)c.states + 4;
    tell("askew states", words_step(&c));
    c = fine, c.state_bytes--;
    tell("small states", words_step(&c));
    c = fine, c.arena = NULL;
    tell("no arena", words_step(&c));
    c = fine, c.arena_bytes--;
    tell("small arena", words_step(&c));
    c = fine, c.threads = 4, c.parallel_for = serial;
    tell("small for threads", words_step(&c));
    c = fine, c.threads = 1025;
    tell("many threads", words_step(&c));
    c = fine, c.threads = 2, c.parallel_for = wild;
    c.arena = guarded(WORDS_ARENA_BYTES(2)), c.arena_bytes = WORDS_ARENA_BYTES(2);
    tell("wild task", words_step(&c));
    c = fine, c.inputs.x = NULL;
    tell("no input", words_step(&c));
    c = fine, c.inputs.y = (const int32_t *)(const void *)((const char *)y + 1);
    tell("askew input", words_step(&c));
    c = fine, c.outputs.loss = NULL;
    tell("no output", words_step(&c));
    x[5] = 20;
    tell("token", words_step(&fine));
    x[5] = 0, y[3] = -1;
    tell("label", words_step(&fine));
    y[3] = 0;
    if (words_init(&fine, 0)) return 3;
    tell("fine", words_step(&fine));
    kept = loss;
    /* As from the start: nothing of what went wrong is left. */
    if (words_init(&fine, 0) || words_step(&fine) || memcmp(&kept, &loss, sizeof loss)) return 4;
    tell("unknown", 99999);
    return 0;
}
