#ifndef NPYFAST_CORE_OS_CPUS_H_
#define NPYFAST_CORE_OS_CPUS_H_

namespace npyfast {

// CPUs that this process may use, at least 1: the smaller of its affinity mask and of the CPU quota
// of its control group (v1 or v2, its own or an ancestor's), rounded up. Thread-safe.
int UsableCpus();

}  // namespace npyfast

#endif  // NPYFAST_CORE_OS_CPUS_H_
