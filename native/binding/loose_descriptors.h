#pragma once

#include <sys/types.h>

#include <map>

namespace c1m {

// Descriptors that are numbers in JavaScript, between two owners. worker.terminate() may end an environment at any
// time: those that are still open then, without a new owner, are closed with it. The socket's inode tells whether a
// descriptor has one: a number that is in use again belongs to another socket. Owner: an environment. Thread: its JS
// thread.
class LooseDescriptors {
 public:
  LooseDescriptors() = default;
  LooseDescriptors(const LooseDescriptors&) = delete;
  LooseDescriptors& operator=(const LooseDescriptors&) = delete;
  ~LooseDescriptors();

  void note(int fd);
  // Forgets a descriptor that has a new owner.
  void forget(int fd) { inodes_.erase(fd); }

 private:
  std::map<int, ino_t> inodes_;
};

}  // namespace c1m
