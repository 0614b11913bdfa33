"""Prints the usable CPUs of a process that may use one."""

import os

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import npyfast

print(npyfast.build_info()["usable_cpus"])
