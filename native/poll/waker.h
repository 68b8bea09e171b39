#pragma once

#include <utility>

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

// What one thread writes to so that another, which polls it, doesn't sleep. An eventfd(2): each write is an edge, and nothing
// is lost between two of them. It takes a descriptor alone, so that a poller of any kind can have it.
// Owner: who polls it. Thread: any, but for clear(), which is the owner's.
class Waker {
 public:
  // None; create() makes one.
  Waker() = default;
  [[nodiscard]] static Result<Waker> create();

  void wake() const;
  // Takes back all wakes so far. Whoever polls for edges has no need of it.
  void clear() const;

  [[nodiscard]] bool valid() const { return fd_.valid(); }
  // To be polled for reading; -1 without one.
  [[nodiscard]] int descriptor() const { return fd_.get(); }

 private:
  explicit Waker(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace c1m
