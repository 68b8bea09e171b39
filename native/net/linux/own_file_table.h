#pragma once

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

// File tables. As a rule all threads of a process have one in common; a thread may have its own, in which a number means
// something else than in that of its process, that is of the process's first thread.

// Gives the calling thread a table of its own that holds standard input, output and error, and nothing else.
// (close_range(2) with CLOSE_RANGE_UNSHARE, Linux 5.9)
Result<void> leave_file_table();

// The process, for take_descriptor(). (pidfd_open(2))
[[nodiscard]] Result<Fd> open_own_process();

// A descriptor of the process's table as one of the calling thread's, close-on-exec. (pidfd_getfd(2), Linux 5.6)
[[nodiscard]] Result<Fd> take_descriptor(int process, int fd);

// The same with a number of one's choice, at which nothing may be open. (dup3(2))
Result<void> take_descriptor_as(int process, int fd, int number);

}  // namespace c1m
