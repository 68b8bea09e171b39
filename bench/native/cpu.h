#ifndef C1M_BENCH_CPU_H_
#define C1M_BENCH_CPU_H_

#include <sched.h>

namespace bench {

// Pins the process to one CPU; a negative number leaves that to the scheduler. Returns false if the CPU isn't
// available.
inline bool pin_to_cpu(int cpu) {
  if (cpu < 0) return true;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace bench

#endif  // C1M_BENCH_CPU_H_
