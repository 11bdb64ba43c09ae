/* For LD_PRELOAD: how often memory was asked for.
 *
 * Owns: malloc and its relatives, and mmap. operator new comes here too: libstdc++'s asks malloc.
 * Must not know: who asks, and what for.
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

static atomic_long asked;

/* By all threads, since the process began. */
long times_asked(void) { return asked; }

void *malloc(size_t size) {
  ++asked;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  ++asked;
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  ++asked;
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  ++asked;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
  void *made = memalign(alignment, size);
  if (!made) return ENOMEM;
  *block = made;
  return 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
  ++asked;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
