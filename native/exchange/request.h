#pragma once

#include <cstdint>
namespace c1m {

class Loop;
struct Expected;

// A rare call that is answered by promise: it travels in a command batch, in order with the other commands, runs on
// the I/O thread, and comes back with its answer inside. Each kind is a subclass (requests.h).
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  // On the I/O thread. True if it is done; otherwise the loop keeps it, and complete() gives it back.
  [[nodiscard]] virtual bool run(Loop& loop) = 0;
  // Whether it comes back in an event batch, with or before what happened after it. What says nothing of the order of events
  // comes back by itself instead, at the end of the turn: also while JavaScript holds back batches until it has such answers.
  [[nodiscard]] virtual bool in_order() const { return true; }
  // On the JS thread, once it is back.
  virtual void answer() {}
  // Where it waits for a connection that is on its way to this loop (move.h); null if for none.
  [[nodiscard]] virtual Expected* waits(Loop& /*loop*/) const { return nullptr; }

  Request* next = nullptr;  // for Handoff
};

// Comes back when all that was published before it has been carried out, and no attempt to connect waits to be begun.
class FenceRequest : public Request {
 public:
  [[nodiscard]] bool in_order() const override { return false; }
  bool run(Loop& loop) override;
};

// One about a connection.
class ConnectionRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;

  [[nodiscard]] Expected* waits(Loop& loop) const final;
};

}  // namespace c1m
