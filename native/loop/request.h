#pragma once

#include <cstdint>

namespace c1m {

class Loop;
class ConnectionRequest;

// A rare call that is answered by promise: it travels in a command batch, in order with the other commands, runs on
// the I/O thread, and comes back in an event batch with its answer inside. Each kind is a subclass (requests.h).
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  // On the I/O thread. True if it is done; otherwise the loop keeps it, and complete() gives it back.
  [[nodiscard]] virtual bool run(Loop& loop) = 0;
  // On the JS thread, once it is back.
  virtual void answer() {}
  // Itself, if it is one.
  [[nodiscard]] virtual const ConnectionRequest* about_connection() const { return nullptr; }
};

// One about a connection: it waits while that is on its way to this loop (move.h).
class ConnectionRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;

  [[nodiscard]] const ConnectionRequest* about_connection() const final { return this; }
};

}  // namespace c1m
