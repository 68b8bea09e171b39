#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "native/net/address.h"

namespace c1m {

// The sockets' own addresses, by slot, for a JS thread that can't ask the kernel: their descriptors are in a file table
// that isn't its own. 24 bytes a connection; memory that no slot has used yet costs nothing.
// Owner: one loop. Thread: note() is the loop's, before the kOpen of the slot's connection; of() is the JS thread's.
class LocalAddresses {
 public:
  explicit LocalAddresses(uint32_t slots)
      : packed_(static_cast<PackedAddress*>(std::calloc(slots, sizeof(PackedAddress)))) {}

  // Whether there was memory for it.
  [[nodiscard]] bool ok() const { return packed_ != nullptr; }
  void note(uint32_t slot, int fd);
  [[nodiscard]] Address of(uint32_t slot);

 private:
  struct Free {
    void operator()(PackedAddress* memory) const { std::free(memory); }
  };

  std::unique_ptr<PackedAddress[], Free> packed_;  // of a Unix socket, `scope` is an index into paths_
  std::mutex mutex_;
  // Under the mutex:
  std::vector<Address> paths_;  // few, as they are those of listeners; each is here once
};

}  // namespace c1m
