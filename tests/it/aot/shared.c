/* Trains by one entry and predicts by another on the same block of states; prints the predictions' bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cnn_infer.h"
#include "cnn_train.h"

int main(void) {
    static float x[32 * 784], scores[32 * 10];
    static int32_t y[32];
    float loss, accuracy;
    size_t i;
    int step;
    cnn_train_context train;
    cnn_infer_context infer;
    if (CNN_TRAIN_STATE_BYTES != CNN_INFER_STATE_BYTES || CNN_TRAIN_STATE_DENSE_BIAS != CNN_INFER_STATE_DENSE_BIAS) return 2;
    for (i = 0; i < 32 * 784; i++) x[i] = (float)(i * 7 % 256) / 256.0f;
    for (i = 0; i < 32; i++) y[i] = (int32_t)(i % 10);
    memset(&train, 0, sizeof train);
    memset(&infer, 0, sizeof infer);
    train.abi_version = CNN_TRAIN_ABI_VERSION, infer.abi_version = CNN_INFER_ABI_VERSION;
    train.state_bytes = CNN_TRAIN_STATE_BYTES, infer.state_bytes = CNN_INFER_STATE_BYTES;
    train.states = infer.states = aligned_alloc(CNN_TRAIN_ALIGN, CNN_TRAIN_STATE_BYTES);
    train.arena_bytes = CNN_TRAIN_ARENA_BYTES(1), infer.arena_bytes = CNN_INFER_ARENA_BYTES(1);
    train.arena = aligned_alloc(CNN_TRAIN_ALIGN, CNN_TRAIN_ARENA_BYTES(1));
    infer.arena = aligned_alloc(CNN_INFER_ALIGN, CNN_INFER_ARENA_BYTES(1));
    train.inputs.x = infer.inputs.x = x;
    train.inputs.y = y;
    train.outputs.loss = &loss, train.outputs.accuracy = &accuracy;
    infer.outputs.output = scores;
    /* Either entry's starts all states. */
    if (cnn_infer_init(&infer, 0)) return 3;
    for (step = 0; step < 5; step++) {
        if (cnn_train_step(&train)) return 4;
    }
    if (cnn_infer_step(&infer)) return 5;
    for (i = 0; i < sizeof scores; i++) printf("%02x", ((const unsigned char *)scores)[i]);
    printf("\n");
    free(train.states);
    free(train.arena);
    free(infer.arena);
    return 0;
}
