#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files whose path holds $SLOW_FOLDER: each call takes $SLOW_MS, and for as long as $SLOW_FLAG is a
   file they wait. */
static void wait_for(const char* path) {
  const char* folder = getenv("SLOW_FOLDER");
  if (folder == NULL || path == NULL || strstr(path, folder) == NULL) return;
  const char* flag = getenv("SLOW_FLAG");
  if (flag == NULL || access(flag, F_OK) != 0) return;
  const char* ms = getenv("SLOW_MS");
  if (ms != NULL) {
    usleep(1000 * atoi(ms));
    return;
  }
  while (access(flag, F_OK) == 0) usleep(5000);
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                                        \
  int name(const char* path, int flags, ...) {                           \
    NEXT(name);                                                           \
    va_list arguments;                                                    \
    va_start(arguments, flags);                                           \
    int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, int) : 0; \
    va_end(arguments);                                                    \
    wait_for(path);                                                       \
    return next(path, flags, mode);                                       \
  }
OPEN(open)
OPEN(open64)

#define STAT(name, type)                        \
  int name(const char* path, struct type* at) { \
    NEXT(name);                                 \
    wait_for(path);                             \
    return next(path, at);                      \
  }
STAT(stat, stat)
STAT(stat64, stat64)

int fstatat(int folder, const char* path, struct stat* at, int flags) {
  NEXT(fstatat);
  wait_for(path);
  return next(folder, path, at, flags);
}
