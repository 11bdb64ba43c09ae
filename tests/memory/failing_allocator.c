/* For LD_PRELOAD: the n-th allocation of the process fails, once.
 *
 * Owns: malloc and its relatives, and mmap, with a count of the blocks that are alive. operator new
 * comes here too: libstdc++'s asks malloc. Must not know: who allocates, and what for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What glibc's own functions are made of. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_long left; /* allocations until one fails; at 0 none will */
static atomic_size_t least;
static atomic_long alive;

/* Of the allocations of at least so many bytes, by any thread, the n-th from here on fails. */
void fail_allocation(long n, size_t bytes) {
  least = bytes;
  left = n;
}

/* Whether it has failed. None does any more. */
int stop_failing(void) { return atomic_exchange(&left, 0) <= 0; }

long blocks_alive(void) { return alive; }

static int fails(size_t bytes) {
  if (atomic_load_explicit(&left, memory_order_relaxed) <= 0 || bytes < least) return 0;
  if (atomic_fetch_sub(&left, 1) != 1) return 0;
  errno = ENOMEM;
  return 1;
}

static void *counted(void *block) {
  if (block) atomic_fetch_add_explicit(&alive, 1, memory_order_relaxed);
  return block;
}

void *malloc(size_t size) { return fails(size) ? NULL : counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) {
  return fails(count * size) ? NULL : counted(__libc_calloc(count, size));
}

void *memalign(size_t alignment, size_t size) {
  return fails(size) ? NULL : counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
  void *made = memalign(alignment, size);
  if (!made) return ENOMEM;
  *block = made;
  return 0;
}

void *realloc(void *block, size_t size) {
  if (!block) return malloc(size);
  if (fails(size)) return NULL;
  if (size == 0) atomic_fetch_sub(&alive, 1);
  return __libc_realloc(block, size);
}

void free(void *block) {
  if (block) atomic_fetch_sub_explicit(&alive, 1, memory_order_relaxed);
  __libc_free(block);
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
  if (fails(size)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
