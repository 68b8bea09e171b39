#pragma once

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "native/exchange/mailbox.h"
#include "native/exchange/request.h"

namespace c1m {

// The requests of a loop from the end of run() until the JS thread has them again: those that are not complete yet, and
// those whose reply goes with the next event batch.
// Owner: one loop. Thread: the loop's.
class Replies {
 public:
  explicit Replies(Mailbox& mailbox) : mailbox_(mailbox) {}

  // Keeps a request whose run() has not completed it.
  void keep(std::unique_ptr<Request> request) {
    Request* kept = request.get();
    kept_.emplace(kept, std::move(request));
  }
  // Sends the reply of one that was kept.
  void complete(Request* request) { send(std::move(kept_.extract(request).mapped())); }
  void send(std::unique_ptr<Request> request) {
    if (request->in_order()) return in_order_.push_back(std::move(request));
    mailbox_.answers.push(request.release());
    sent_ = true;
  }

  // Replies wait for an event batch.
  [[nodiscard]] bool any_in_order() const { return !in_order_.empty(); }
  [[nodiscard]] std::vector<std::unique_ptr<Request>>& in_order() { return in_order_; }
  // Whether some were sent on their own since the last call: JavaScript is to be woken for them.
  [[nodiscard]] bool take_sent() { return std::exchange(sent_, false); }

 private:
  Mailbox& mailbox_;
  std::vector<std::unique_ptr<Request>> in_order_;
  std::unordered_map<Request*, std::unique_ptr<Request>> kept_;
  bool sent_ = false;
};

}  // namespace c1m
