#pragma once

#include <cstdint>
#include <memory>

#include "native/exchange/inbox.h"

namespace c1m {

// The inboxes of all running loops of the process, by number, for threads that know a loop by its number only: workers
// that answer a connection. It is the one thing that environments share, since a worker's addon is another instance than
// the main thread's; numbers are never used again.
// Thread: any.
namespace inbox_registry {

[[nodiscard]] uint32_t add(std::shared_ptr<Inbox> inbox);
void remove(uint32_t number);
// Null if the loop has ended.
[[nodiscard]] std::shared_ptr<Inbox> find(uint32_t number);

}  // namespace inbox_registry

}  // namespace c1m
