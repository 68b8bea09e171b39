#pragma once

#include <sys/types.h>

#include <map>

namespace c1m {

// Descriptors that are numbers in JavaScript, on their way from one owner to the next. worker.terminate() may end an environment at
// any time: those that nobody has taken over or closed by then are closed with it. Whether somebody has, the socket's inode says: a
// number that is in use again is another socket's. Owner: an environment. Thread: its JS thread.
class LooseDescriptors {
 public:
  LooseDescriptors() = default;
  LooseDescriptors(const LooseDescriptors&) = delete;
  LooseDescriptors& operator=(const LooseDescriptors&) = delete;
  ~LooseDescriptors();

  void note(int fd);
  // Somebody has it for sure.
  void forget(int fd) { inodes_.erase(fd); }

 private:
  std::map<int, ino_t> inodes_;
};

}  // namespace c1m
