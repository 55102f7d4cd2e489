/* Trains the convolutional network on handwritten digits by a step that gradc has compiled ahead of time, and prints the loss of each batch.
 *
 *     cargo run --release -- build cnn --entry train --name cnn_train -o build
 *     gunzip -c data/mnist-subset/train-images-idx3-ubyte.gz > build/images
 *     gunzip -c data/mnist-subset/train-labels-idx1-ubyte.gz > build/labels
 *     cc -std=c11 -O2 -Ibuild examples/c/train_cnn.c build/libcnn_train.a -lpthread -lm -o build/train_cnn
 *     build/train_cnn build/images build/labels 2
 *
 * The last argument is how many threads share the work: the losses are the same. They are started for each loop, which is simple, and slow. With gradc's own pool they are kept:
 *
 *     cargo rustc --release -p gradc-pool --crate-type staticlib
 *     cc -std=c11 -O2 -DGRADC_POOL -Ibuild -Ipool examples/c/train_cnn.c build/libcnn_train.a target/release/libgradc_pool.a -lpthread -ldl -lm -o build/train_cnn
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn_train.h"

enum { BATCH = 32, PIXELS = 28 * 28, MOST_THREADS = 64 };

#ifdef GRADC_POOL
#include "gradc_pool.h"
#else
/* A loop of the step, shared out in equal parts: the simplest gradc_parallel_for there is. */
struct part {
    gradc_task task;
    void *job;
    uint32_t thread;
    int64_t begin, end;
};

static void *run_part(void *argument) {
    struct part *part = (struct part *)argument;
    part->task(part->job, part->thread, part->begin, part->end);
    return NULL;
}

static void parallel_for(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent) {
    struct part parts[MOST_THREADS];
    pthread_t workers[MOST_THREADS];
    int started[MOST_THREADS];
    uint32_t t;
    (void)user;
    for (t = 0; t < threads; t++) {
        parts[t].task = task;
        parts[t].job = job;
        parts[t].thread = t;
        parts[t].begin = extent * t / threads;
        parts[t].end = extent * (t + 1) / threads;
        /* What no thread is to be had for, the caller does. */
        started[t] = t > 0 && pthread_create(&workers[t], NULL, run_part, &parts[t]) == 0;
    }
    for (t = 0; t < threads; t++) {
        if (!started[t]) run_part(&parts[t]);
    }
    for (t = 0; t < threads; t++) {
        if (started[t]) pthread_join(workers[t], NULL);
    }
}
#endif

/* Reads a file of the format IDX: a header of 4 bytes for the type and 4 for each axis, then bytes. */
static unsigned char *read_idx(const char *path, size_t axes, size_t *count) {
    FILE *file = fopen(path, "rb");
    unsigned char header[16];
    unsigned char *bytes = NULL;
    size_t size = 1, axis;
    if (!file || fread(header, 1, 4 + 4 * axes, file) != 4 + 4 * axes || header[3] != axes) {
        fprintf(stderr, "%s can't be read, or isn't an IDX file of %u axes (gunzip it first)\n", path, (unsigned)axes);
        exit(1);
    }
    for (axis = 0; axis < axes; axis++) {
        const unsigned char *n = header + 4 + 4 * axis;
        size_t extent = (size_t)n[0] << 24 | (size_t)n[1] << 16 | (size_t)n[2] << 8 | n[3];
        if (axis == 0) *count = extent;
        size *= extent;
    }
    bytes = (unsigned char *)malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        fprintf(stderr, "%s ends too early\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

static void require(int32_t status) {
    if (status != 0) {
        fprintf(stderr, "status %d: %s\n", (int)status, cnn_train_status_message(status));
        exit(1);
    }
}

int main(int argc, char **argv) {
    static float x[BATCH * PIXELS];
    static int32_t y[BATCH];
    float loss = 0, accuracy = 0;
    size_t images_count = 0, labels_count = 0, at, i;
    unsigned char *images, *labels;
    cnn_train_context context;
#ifdef GRADC_POOL
    gradc_pool *pool;
#endif
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    if (argc < 3 || threads < 1 || threads > MOST_THREADS) {
        fprintf(stderr, "usage: %s IMAGES LABELS [THREADS, up to %d]\n", argv[0], MOST_THREADS);
        return 2;
    }
    images = read_idx(argv[1], 3, &images_count);
    labels = read_idx(argv[2], 1, &labels_count);

    memset(&context, 0, sizeof context);
    context.abi_version = CNN_TRAIN_ABI_VERSION;
    context.state_bytes = CNN_TRAIN_STATE_BYTES;
    context.states = aligned_alloc(CNN_TRAIN_ALIGN, CNN_TRAIN_STATE_BYTES);
    context.threads = (uint32_t)threads;
#ifdef GRADC_POOL
    /* Without a pool, if there are no threads to be had, loops run on this one. */
    pool = gradc_pool_new((uint32_t)threads);
    context.parallel_for = gradc_pool_parallel_for;
    context.user = pool;
#else
    context.parallel_for = parallel_for;
#endif
    /* A multiple of what it is aligned to, as aligned_alloc wants it. */
    context.arena_bytes = CNN_TRAIN_ARENA_BYTES((uint32_t)threads);
    context.arena = aligned_alloc(CNN_TRAIN_ALIGN, context.arena_bytes);
    context.inputs.x = x;
    context.inputs.y = y;
    context.outputs.loss = &loss;
    context.outputs.accuracy = &accuracy;
    require(cnn_train_init(&context, 0));

    for (at = 0; at + BATCH <= images_count && at + BATCH <= labels_count; at += BATCH) {
        for (i = 0; i < BATCH * PIXELS; i++) x[i] = (float)images[at * PIXELS + i] / 255.0f;
        for (i = 0; i < BATCH; i++) y[i] = labels[at + i];
        require(cnn_train_step(&context));
        printf("%.9g\n", (double)loss);
    }
#ifdef GRADC_POOL
    gradc_pool_free(pool);
#endif
    free(context.states);
    free(context.arena);
    free(images);
    free(labels);
    return 0;
}
