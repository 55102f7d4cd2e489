/* Reads handwritten digits by a convolutional network that gradc has compiled ahead of time, with its trained weights inside, and prints how many it gets right.
 *
 *     cargo run --release --example mnist -- build/cnn.safetensors
 *     cargo run --release -p gradc-cli -- build cnn --entry infer --batch 1 --weights build/cnn.safetensors -o build
 *     gunzip -c data/mnist-subset/t10k-images-idx3-ubyte.gz > build/test_images
 *     gunzip -c data/mnist-subset/t10k-labels-idx1-ubyte.gz > build/test_labels
 *     cc -std=c11 -O2 -Ibuild examples/c/infer_cnn.c build/libcnn_infer.a -lm -o build/infer_cnn
 *     build/infer_cnn build/test_images build/test_labels
 *
 * With a third argument it prints each digit that it reads, a line for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn_infer.h"

enum { PIXELS = 28 * 28, CLASSES = 10 };

/* Opens a file of the format IDX, behind its header: 4 bytes for the type, and 4 for each axis. */
static FILE *open_idx(const char *path, size_t axes) {
    FILE *file = fopen(path, "rb");
    unsigned char header[16];
    if (!file || fread(header, 1, 4 + 4 * axes, file) != 4 + 4 * axes || header[3] != axes) {
        fprintf(stderr, "%s can't be read, or isn't an IDX file of %u axes (gunzip it first)\n", path, (unsigned)axes);
        exit(1);
    }
    return file;
}

static void require(int32_t status) {
    if (status != 0) {
        fprintf(stderr, "status %d: %s\n", (int)status, cnn_infer_status_message(status));
        exit(1);
    }
}

int main(int argc, char **argv) {
    static float x[PIXELS], scores[CLASSES];
    unsigned char pixels[PIXELS];
    FILE *images, *labels;
    int label, read = 0, right = 0;
    cnn_infer_context context;
    if (argc < 3) {
        fprintf(stderr, "usage: %s IMAGES LABELS [each]\n", argv[0]);
        return 2;
    }
    images = open_idx(argv[1], 3);
    labels = open_idx(argv[2], 1);

    memset(&context, 0, sizeof context);
    context.abi_version = CNN_INFER_ABI_VERSION;
    context.state_bytes = CNN_INFER_STATE_BYTES;
    context.states = aligned_alloc(CNN_INFER_ALIGN, CNN_INFER_STATE_BYTES);
    context.arena_bytes = CNN_INFER_ARENA_BYTES(1);
    context.arena = aligned_alloc(CNN_INFER_ALIGN, CNN_INFER_ARENA_BYTES(1));
    context.inputs.x = x;
    context.outputs.output = scores;
    /* Copies the weights out of the program, where they are read-only. */
    require(cnn_infer_init(&context, 0));

    while (fread(pixels, 1, PIXELS, images) == PIXELS && (label = getc(labels)) != EOF) {
        int i, digit = 0;
        for (i = 0; i < PIXELS; i++) x[i] = (float)pixels[i] / 255.0f;
        require(cnn_infer_step(&context));
        for (i = 1; i < CLASSES; i++) {
            if (scores[i] > scores[digit]) digit = i;
        }
        if (argc > 3) printf("%d\n", digit);
        read++;
        right += digit == label;
    }
    printf("accuracy %.2f %% of %d digits\n", read ? 100.0 * right / read : 0.0, read);
    fclose(images);
    fclose(labels);
    free(context.states);
    free(context.arena);
    return read == 0;
}
