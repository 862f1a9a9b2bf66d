#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

/// Whether allocations can be counted here: with glibc, whose own functions stand behind other names too.
int allocation_count_works(void);

/// Calls of malloc, calloc, realloc and their like in this process so far, on any thread.
uint64_t allocation_count(void);

#endif
