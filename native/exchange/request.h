#pragma once

#include <array>
#include <cstdint>

namespace c1m {

class Loop;

// Names a connection: a slot, and which of its tenants. The generation of a live slot is never 0.
struct ConnectionKey {
  uint32_t slot = 0;
  uint32_t generation = 0;
};

// A rare call that returns a promise: it travels in a command batch, in order with the other commands, runs on the I/O
// thread, and comes back with its reply inside. Each kind is a subclass, beside its feature; loop/requests.cc runs them.
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  // Runs on the I/O thread. True if it is complete; otherwise the loop keeps it until Replies::complete().
  [[nodiscard]] virtual bool run(Loop& loop) = 0;
  // Whether it comes back in an event batch, with or before what happened after it. A request that says nothing of the
  // order of events comes back on its own instead, at the end of the turn: also while JavaScript suspends delivery until
  // it has such replies.
  [[nodiscard]] virtual bool in_order() const { return true; }
  // Runs on the JS thread, once it is back.
  virtual void answer() {}
  // The connections that it is about. While one of them is migrating to this loop the request is deferred with it.
  [[nodiscard]] virtual std::array<ConnectionKey, 2> subjects() const { return {}; }

  Request* next = nullptr;  // for Handoff
};

// Comes back when all that was published before it has been carried out, and no attempt to connect waits to be begun.
class FenceRequest : public Request {
 public:
  [[nodiscard]] bool in_order() const override { return false; }
  bool run(Loop& loop) override;
};

// A request about one connection.
class ConnectionRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;

  [[nodiscard]] std::array<ConnectionKey, 2> subjects() const final { return {ConnectionKey{slot, generation}, {}}; }
};

}  // namespace c1m
