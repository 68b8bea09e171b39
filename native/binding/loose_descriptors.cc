#include "native/binding/loose_descriptors.h"

#include <sys/stat.h>

#include "native/base/fd.h"

namespace c1m {

namespace {

// Returns 0 for a descriptor that is no socket, or not open.
ino_t socket_inode(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

}  // namespace

LooseDescriptors::~LooseDescriptors() {
  for (const auto& [fd, inode] : inodes_) {
    if (inode != 0 && socket_inode(fd) == inode) Fd(fd).reset();
  }
}

void LooseDescriptors::note(int fd) { inodes_[fd] = socket_inode(fd); }

}  // namespace c1m
