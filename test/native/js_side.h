#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/exchange/mailbox.h"
#include "native/loop/loop.h"

namespace c1m {

// A connection as JavaScript sees it: the events that were delivered for it, in order.
struct Told {
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t listener = 0;
  // One letter for each event, the first of its name: O open, D data (one for any number in a row), E end, C close, F stopped
  // for a change of framing, T an idle timeout. But R drain, M invalid frame, and the other timeouts: r read, w write, L total.
  std::string log;
  std::string received;
  std::vector<std::string> chunks;   // of `received`, one by one
  ReadMode mode = ReadMode::kOwned;  // of the last chunk
  int error = 0;
  Syscall syscall = Syscall::kRead;
  uint32_t a = 0;  // of the last event's record, unless that is data

  [[nodiscard]] bool closed() const { return log.ends_with('C'); }
  [[nodiscard]] bool ended() const { return log.find('E') != std::string::npos; }
  [[nodiscard]] size_t times(char event) const {
    return static_cast<size_t>(std::count(log.begin(), log.end(), event));
  }
};

// Stands in for the JS thread, the binding and lib/: owns the memory of the batches, checks the order of events, and
// writes commands. It poisons memory that it hands back, so that a later use of it is found.
// Thread: any one; the loop may run on another, or on the same.
class JsSide {
 public:
  struct Memory {
    int batches = 4;
    uint32_t slab_bytes = 1 << 20;
    uint32_t arena_bytes = 1 << 18;
    uint32_t max_connections = 1;
  };

  explicit JsSide(const Memory& memory);
  JsSide(const JsSide&) = delete;
  JsSide& operator=(const JsSide&) = delete;
  ~JsSide();

  // Sets the loop that uses this memory. Must be called first.
  void attach(Loop& loop) { loop_ = &loop; }
  [[nodiscard]] LoopOptions options(Trigger trigger);

  // Delivers one batch, as the callback of the async handle does. Returns false if the loop hasn't woken this side.
  bool deliver();
  // Delivers batches until none is left. Returns their number.
  int deliver_all();
  // The two steps of deliver(), for tests that do something in between. take() returns null if there is no batch.
  [[nodiscard]] EventBatch* take();
  void give_back(EventBatch* batch);

  // Commands, which flush() publishes.
  void write(const Told& to, std::string_view bytes, uint32_t wish = 0);
  void write_pinned(const Told& to, std::string bytes, uint32_t excess = 0);
  // The `maxWriteQueue` of the connections that are written to.
  uint32_t max_write_queue = 1u << 30;
  // Returns a new buffer for a request to pin. The address of the string is its owner.
  [[nodiscard]] const std::string& pin(std::string bytes);
  void push(Command command, const Told& to, uint32_t a = 0);
  void set_timeout(const Told& to, TimeoutKind kind, uint32_t ms);
  void end(const Told& to) { push(Command::kEnd, to); }
  void destroy(const Told& to) { push(Command::kDestroy, to); }
  void reset(const Told& to) { push(Command::kReset, to); }
  void pause(const Told& to) { push(Command::kPause, to); }
  void resume(const Told& to) { push(Command::kResume, to); }
  void want_drain(const Told& to) { push(Command::kWantDrain, to); }
  void request(std::unique_ptr<Request> request);
  // Leave a payload that no record names, and records that name no payload, as an exception between the two would.
  void leave_unnamed(std::string pinned, std::unique_ptr<Request> request);
  void name_nothing(Command command, const Told& to);
  void flush();
  // Poisons the command batches that have come back.
  void take_spent();

  // The number of pinned buffers that have not come back. Each must come back once.
  [[nodiscard]] size_t pinned() const { return pinned_.size(); }
  [[nodiscard]] uint32_t flushed(const Told& of);
  [[nodiscard]] double stat(const char* name);
  // Adds a connection that another loop hands over, into a slot that was reserved: no open is delivered for it.
  Told& arrive(uint32_t slot, uint32_t generation);
  // The number of connections that were opened and not closed.
  [[nodiscard]] size_t open() const { return open_; }

  Mailbox mailbox;
  std::deque<Told> connections;  // all that ever opened, in that order; their addresses are stable
  std::vector<std::unique_ptr<Request>> completed;
  std::vector<int> saturated;  // errno of each kSaturated
  struct WatchTold {
    uint32_t number;
    uint8_t events;
    bool operator==(const WatchTold&) const = default;
  };
  std::vector<WatchTold> watched;
  int batches_taken = 0;
  uint32_t events_taken = 0;
  // Set by the loop's waker, and only by it while this side sleeps.
  std::atomic<bool> woken{false};

 private:
  struct BatchMemory {
    std::vector<uint32_t> records;
    std::vector<uint8_t> slabs[2];
    std::unique_ptr<EventBatch> batch;
  };
  struct CommandMemory {
    std::vector<uint32_t> records;
    std::vector<uint8_t> arena;
    std::unique_ptr<CommandBatch> batch;
  };

  void read(EventBatch& batch);
  void read_one(EventBatch& batch, const uint32_t* record);
  void open(uint32_t slot, uint32_t generation, uint32_t listener);
  void take_chunk(EventBatch& batch, Told& to, ReadMode mode, uint32_t offset, uint32_t length);
  void take_frame(OwnFrame& frame, Told& to, uint32_t length);
  void add_command_batch();
  void append(Command command, uint32_t slot, uint32_t generation, uint32_t a, uint32_t b, uint32_t argument = 0);

  Memory sizes_;
  std::vector<BatchMemory> memory_;
  EventBatch* pending_ = nullptr;
  std::map<uint32_t, Told*> by_slot_;
  size_t open_ = 0;
  uint32_t chunk_ends_[2] = {};  // the end of the last chunk in each slab of the batch that is being read

  std::vector<std::unique_ptr<CommandMemory>> commands_;
  CommandMemory* current_ = nullptr;
  CommandBatch* spent_ = nullptr;
  uint32_t arena_used_ = 0;

  std::map<void*, std::unique_ptr<std::string>> pinned_;
  std::vector<uint32_t> flushed_;
  uint32_t connections_ = 0;
  std::vector<double> stats_;
  Loop* loop_ = nullptr;
};

}  // namespace c1m
