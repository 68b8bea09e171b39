#include "native/exchange/inbox_registry.h"

#include <mutex>
#include <unordered_map>

namespace c1m::inbox_registry {

namespace {

struct Registry {
  std::mutex mutex;
  // Under the mutex:
  std::unordered_map<uint32_t, std::shared_ptr<Inbox>> inboxes;
  uint32_t next = 0;
};

// Never destroyed: threads may use it while the process exits.
Registry& registry() {
  static auto* const only = new Registry;
  return *only;
}

}  // namespace

uint32_t add(std::shared_ptr<Inbox> inbox) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const uint32_t number = all.next++;
  all.inboxes.emplace(number, std::move(inbox));
  return number;
}

void remove(uint32_t number) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  all.inboxes.erase(number);
}

std::shared_ptr<Inbox> find(uint32_t number) {
  Registry& all = registry();
  const std::scoped_lock lock(all.mutex);
  const auto found = all.inboxes.find(number);
  return found == all.inboxes.end() ? nullptr : found->second;
}

}  // namespace c1m::inbox_registry
