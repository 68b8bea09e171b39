#include "native/net/linux/own_file_table.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace c1m {

namespace {

// Called by number, as older C libraries, for which prebuilds are made, have no wrappers. Since Linux 5.1 a system call
// has the same number on all architectures that Node runs on.
constexpr long kPidfdOpen = 434;
constexpr long kCloseRange = 436;
constexpr long kPidfdGetfd = 438;
constexpr unsigned kCloseRangeUnshare = 2;

}  // namespace

Result<void> leave_file_table() {
  if (::syscall(kCloseRange, 3u, ~0u, kCloseRangeUnshare) == 0) return {};
  return Error::last("close_range");
}

Result<Fd> open_own_process() {
  const long process = ::syscall(kPidfdOpen, ::getpid(), 0u);
  if (process < 0) return Error::last("pidfd_open");
  return Fd(static_cast<int>(process));
}

Result<Fd> take_descriptor(int process, int fd) {
  const long taken = ::syscall(kPidfdGetfd, process, fd, 0u);
  if (taken < 0) return Error::last("pidfd_getfd");
  return Fd(static_cast<int>(taken));
}

Result<void> take_descriptor_as(int process, int fd, int number) {
  Result<Fd> taken = take_descriptor(process, fd);
  if (!taken) return taken.error();
  if (taken.value().get() == number) {
    (void)taken.value().release();
    return {};
  }
  if (::dup3(taken.value().get(), number, O_CLOEXEC) < 0) return Error::last("dup3");
  return {};
}

}  // namespace c1m
