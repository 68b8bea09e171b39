#pragma once

#include <cstdint>
#include <unordered_map>

#include "native/exchange/stats.h"
#include "native/poll/watch_set.h"
#include "native/table/event_sink.h"

namespace c1m {

// Delivers what happens to the descriptors that JavaScript watches: one kWatch for each of them in a batch, with all
// that happened since the batch before. So a descriptor costs a batch one record at most, however often it is written
// while the JS thread is away; and what happens once that has the batch is in the next.
// Owner: one loop. Thread: the loop's; set() may be used from the JS thread, as it says.
class Watcher {
 public:
  Watcher(EventSink& events, const Stats& stats) : events_(events), stats_(stats) {}

  [[nodiscard]] WatchSet& set() { return set_; }

  // The poller has reported the set.
  void mark_ready() { ready_ = true; }
  // There may be something to deliver that no edge will announce.
  [[nodiscard]] bool busy() const { return ready_; }
  // Delivers what there is, while there is room for it.
  void serve();

 private:
  [[nodiscard]] bool deliver(const Watched& watched);

  EventSink& events_;
  const Stats& stats_;
  WatchSet set_;
  bool ready_ = false;
  // Taken from the kernel, and not delivered for lack of room: the ones from next_ on.
  Watched taken_[WatchSet::kMaxEvents];
  int count_ = 0;
  int next_ = 0;
  // The records in the batch of this number, which is being filled.
  uint64_t batch_ = 0;
  std::unordered_map<uint32_t, uint32_t> records_;
};

}  // namespace c1m
