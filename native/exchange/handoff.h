#pragma once

#include <atomic>

namespace c1m {

// Hands objects from one thread to another, in order and without a bound: push() by one thread (or by several), take() by the other.
//
//   push ─▶ head_ ─▶ newest ─▶ … ─▶ oldest        take() detaches the whole chain and turns it round
//
// T has a member `T* next`, which belongs to the handoff while the object is inside. Everything written to the object before push()
// is seen after take(): the release half of push's compare-exchange pairs with the acquire half of take's exchange.
// Both are sequentially consistent because the sleep flags in Mailbox need push() and empty() in one order with them.
template <class T>
class Handoff {
 public:
  Handoff() = default;
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;

  void push(T* item) {
    T* newest = head_.load(std::memory_order_relaxed);
    do {
      item->next = newest;
    } while (!head_.compare_exchange_weak(newest, item, std::memory_order_seq_cst, std::memory_order_relaxed));
  }

  // All that was pushed, oldest first, linked by `next`; null if there is nothing.
  [[nodiscard]] T* take() {
    if (empty()) return nullptr;  // spares the exchange, which would take the cache line from the other thread
    T* newest = head_.exchange(nullptr, std::memory_order_seq_cst);
    T* oldest = nullptr;
    while (newest != nullptr) {
      T* next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  [[nodiscard]] bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

 private:
  std::atomic<T*> head_{nullptr};
};

}  // namespace c1m
