/* A pool of threads for steps that gradc has compiled, for programs that have none. C and C++.
 *
 *     cargo rustc --release -p gradc-pool --crate-type staticlib      makes target/release/libgradc_pool.a
 *
 * Give a step's context the pool as `user`, gradc_pool_parallel_for as `parallel_for`, and as many `threads` as the pool has:
 *
 *     gradc_pool *pool = gradc_pool_new(4);
 *     context.threads = gradc_pool_threads(pool);
 *     context.parallel_for = gradc_pool_parallel_for;
 *     context.user = pool;
 */
#ifndef GRADC_POOL_H
#define GRADC_POOL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef GRADC_PARALLEL_FOR
#define GRADC_PARALLEL_FOR
/* As in the header of every step. */
typedef void (*gradc_task)(void *job, uint32_t thread, int64_t begin, int64_t end);
typedef void (*gradc_parallel_for)(void *user, uint32_t threads, gradc_task task, void *job, int64_t extent);
#endif

typedef struct gradc_pool gradc_pool;

/* A pool of so many threads, from 1 to 128, the one that calls a step counted. Null if the system refuses threads or memory. */
gradc_pool *gradc_pool_new(uint32_t threads);

/* How many threads a pool has; 1 for null. */
uint32_t gradc_pool_threads(const gradc_pool *pool);

/* A gradc_parallel_for whose `user` is a pool. Several threads may run steps by one pool: a loop that comes while another one is shared out runs on its caller, as does every loop
 * if the pool is null. */
void gradc_pool_parallel_for(void *pool, uint32_t threads, gradc_task task, void *job, int64_t extent);

/* Ends the pool's threads and waits for them. No step may be using it. Null is nothing. */
void gradc_pool_free(gradc_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
