#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "native/conn/connection.h"
#include "native/conn/outbound.h"
#include "native/net/linux/pipe.h"

namespace c1m {

// What the relays of one loop share. Owner: one loop. Thread: the loop's.
struct RelayMeans {
  // Bytes of a copy: what recv(2) is asked for.
  static constexpr size_t kBufferBytes = 64 * 1024;

  explicit RelayMeans(OutboundPool& outbound) : pool(outbound) {}

  // Made by the first relay.
  [[nodiscard]] uint8_t* buffer() {
    if (buffer_ == nullptr) buffer_.reset(new uint8_t[kBufferBytes]);
    return buffer_.get();
  }

  OutboundPool& pool;
  PipePool pipes;

 private:
  std::unique_ptr<uint8_t[]> buffer_;
};

// One direction of a relay: from one connection's socket to the other's.
//
//   few bytes    recv ─▶ the loop's buffer ─▶ send           what the sink doesn't take goes to its Outbound queue
//   many bytes   splice ─▶ pipe ─▶ splice                     what the sink doesn't take stays in the pipe
//
// Few bytes are copied, because that takes two system calls, splice(2) three, and a pipe; many are spliced. The first read
// that brings kBulkBytes makes the difference, and a wake-up that brought fewer takes it back. Where splice(2) is refused,
// or no pipe is to be had, all is copied.
//
// Nothing is read while bytes are under way, or while the sink can't take any: a slow sink throttles its source.
// Invariants: it has a pipe if and only if there are bytes in it; and while `queued`, the sink's queue holds bytes of this
// flow and no others. Owner: its relay. Thread: the loop's.
class RelayFlow {
 public:
  enum class Next : uint8_t {
    kWait,         // for an edge of either socket, or for the sink's queue
    kMore,         // the budget is used up
    kEnd,          // the source has ended, and all before that is with the sink's kernel
    kReadFailed,   // the source, with `error`
    kNoMemory,     // for what the sink's queue is to hold: it is lost
    kWriteFailed,  // the sink, with `error`
  };
  struct Moved {
    Next next = Next::kWait;
    int error = 0;
    size_t bytes = 0;  // given to the sink
  };

  // As far as it goes without waiting; reads no more than `budget` bytes, give or take a pipe. A read counts for at
  // least kReadCost: a source that always has one byte more is as much work as any.
  [[nodiscard]] Moved move(Connection& from, Connection& to, RelayMeans& means, size_t budget);
  // The sink's queue has sent bytes of this flow.
  void sent_from_queue(size_t bytes, bool empty);
  // Drops what is under way.
  void drop(RelayMeans& means);

  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool queued() const { return queued_; }
  // Its last wake-up brought many bytes, or some of them are still under way.
  [[nodiscard]] bool is_bulk() const { return bulk_ || in_pipe_ > 0; }

  bool ended = false;  // the FIN was passed on

 private:
  // From this many bytes in one read on, a copy costs more than the system calls that splice(2) needs.
  static constexpr size_t kBulkBytes = 16 * 1024;

  static constexpr size_t kReadCost = 4096;

  [[nodiscard]] Moved move_on(Connection& from, Connection& to, RelayMeans& means, size_t budget);
  [[nodiscard]] bool empty_pipe(Connection& to, RelayMeans& means, Moved& moved);
  [[nodiscard]] bool read(Connection& from, Connection& to, RelayMeans& means, size_t max, Moved& moved);
  [[nodiscard]] bool splice_in(Connection& from, RelayMeans& means, size_t max, Moved& moved);
  [[nodiscard]] bool copy(Connection& from, Connection& to, RelayMeans& means, size_t max, Moved& moved);
  [[nodiscard]] bool read_failed(Connection& from, int error, Moved& moved);
  void has_read(size_t bytes);
  void unload_pipe(Connection& to, RelayMeans& means, Moved& moved);
  [[nodiscard]] bool queue(Connection& to, RelayMeans& means, const uint8_t* data, size_t length, Moved& moved);

  uint64_t bytes_ = 0;  // that the sink's kernel has taken
  Pipe pipe_;
  size_t in_pipe_ = 0;
  size_t read_ = 0;     // in this move()
  size_t charged_ = 0;  // for that
  bool bulk_ = false;
  bool refused_ = false;  // splice(2) was
  bool queued_ = false;
};

}  // namespace c1m
