"""A disk that is slow to answer, or does not: a library that stands between a script and the C
library, and has calls wait that open or look at files of a folder."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

_SOURCE = r"""
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
"""


@functools.cache
def library() -> str:
    """The library, for LD_PRELOAD; skips the test where nothing can compile it."""
    named = (sysconfig.get_config_var("CC") or "").split()[:1]
    compiler = next(filter(None, map(shutil.which, [*named, "cc", "gcc", "g++", "clang"])), None)
    if compiler is None:
        pytest.skip("no compiler")
    folder = Path(tempfile.mkdtemp(prefix="npyfast-slow-"))
    (folder / "slow.c").write_text(_SOURCE)
    made = folder / "slow.so"
    flags = ["-shared", "-fPIC", "-O1", "-w", "-x", "c"]
    subprocess.run(
        [compiler, *flags, folder / "slow.c", "-o", made, "-ldl"], check=True, capture_output=True
    )
    return str(made)
