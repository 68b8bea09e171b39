#include "native/net/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace c1m {

Result<Fd> open_file(const char* path) {
  for (;;) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return Error::last("open");
  }
}

Result<Fd> duplicate_file(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Error::last("dup");
  return Fd(copy);
}

Result<FileInfo> inspect_file(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Error::last("fstat");
  if (S_ISDIR(status.st_mode)) return Error{EISDIR, "read"};
  if (!S_ISREG(status.st_mode)) return Error{ESPIPE, "sendfile"};
  return FileInfo{static_cast<uint64_t>(status.st_size), is_in_memory(fd)};
}

ssize_t read_file(int fd, void* buffer, size_t size, uint64_t offset) {
  for (;;) {
    const ssize_t got = ::pread(fd, buffer, size, static_cast<off_t>(offset));
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace c1m
