#pragma once

#include <pthread.h>
#include <uv.h>

#include <memory>
#include <string>
#include <vector>

#include "native/binding/napi.h"
#include "native/loop/loop.h"
#include "native/poll/waker.h"

namespace c1m {

// Runs one Loop on a thread of its own, and brings its batches to the JS thread.
//
//   created ─▶ running ─▶ stopped (thread joined) ─▶ deleted, by the callback of uv_close
//
// It deletes itself: libuv owns the async handle's memory until that callback, which may be later than the JavaScript
// object and, at environment teardown, later than the last JavaScript. The cleanup hook is asynchronous for that reason.
// Owner: itself. Thread: the JS thread's; the loop belongs to the I/O thread while that runs.
class IoHost {
 public:
  struct Callbacks {
    // (batch, count, wantsSlab, frames): JavaScript's handlers run here. Returns false if it suspends delivery within
    // the batch; it is called for the rest after go_on().
    Napi::FunctionReference deliver;
    Napi::FunctionReference flush;  // (): publishes what they wrote
  };

  struct Thread {
    std::string name;  // as ps and debuggers show it; 15 characters count
    int cpu = -1;      // the only CPU on which it may run; -1 for those of the JS thread
  };
  static Result<IoHost*> start(Napi::Env env, const Thread& thread, const LoopOptions& options,
                               std::vector<EventBatch*> batches, Callbacks callbacks);

  // Joins the thread, which closes all its descriptors; then releases the event loop. `this` is deleted soon after.
  void close();

  // Hands a command batch to the I/O thread.
  void publish(CommandBatch* batch);
  // Returns a command batch that has come back, or null.
  [[nodiscard]] CommandBatch* take_spent();
  // Takes the batch back, for the next caller.
  void keep_spent(CommandBatch* batch);
  // Keeps the event loop alive, or stops doing so.
  void set_ref(bool ref);
  // Returns the address of a connection whose kClose has not been handed back.
  [[nodiscard]] Address local_address(uint32_t slot);
  [[nodiscard]] Address peer_address(uint32_t slot);
  // Watches a descriptor that JavaScript owns, see WatchSet.
  [[nodiscard]] Result<void> watch(int fd, uint8_t interest, uint32_t number) {
    return loop_->watcher().set().add(loop_->poller(), fd, interest, number);
  }
  void unwatch(int fd) { loop_->watcher().set().remove(fd); }
  // The loop's number in the inbox registry.
  [[nodiscard]] uint32_t number() const { return number_; }
  // The inbox for loops that accept connections for this one.
  [[nodiscard]] const std::shared_ptr<Inbox>& inbox() const { return loop_->shared_inbox(); }
  // The outer end of its passage; -1 if it shares this thread's file table.
  [[nodiscard]] int passage() const { return passage_.outer.get(); }
  // CPU time of the I/O thread, user and system together, in microseconds.
  [[nodiscard]] double cpu_micros() const;
  // Ends a suspension: calls `deliver` again soon.
  void go_on() { uv_async_send(&async_); }
  // Returns the batch of an index.
  [[nodiscard]] EventBatch& event_batch(uint32_t index) { return *batches_[index]; }
  // Sets the memory for owned chunks of the batch of this index. Returns false if the I/O thread has the batch.
  bool set_owned_slab(uint32_t index, const ReadSlab& slab);

 private:
  IoHost(Napi::Env env, std::vector<EventBatch*> batches, Callbacks callbacks);
  ~IoHost();
  void wake_js();
  void deliver();
  void answer();
  void deliver_next();
  [[nodiscard]] bool deliver_batch(EventBatch* batch);
  void give_back(EventBatch* batch);
  void end();
  void stop_thread();
  void close_async();
  [[nodiscard]] Error open_file_table(uv_loop_t* event_loop);
  // Starts the thread, and waits for its file table.
  [[nodiscard]] Error start_thread(int cpu);

  Napi::Env env_;
  napi_async_context context_ = nullptr;
  Callbacks callbacks_;
  Mailbox mailbox_;
  std::vector<EventBatch*> batches_;
  EventBatch* pending_ = nullptr;  // taken from the mailbox, in order, linked by `next`
  bool again_ = false;             // none of the first was delivered, for lack of memory
  bool suspended_ = false;         // JavaScript has had a part of the first, and takes no more for now
  CommandBatch* spent_ = nullptr;
  std::vector<EventBatch*> slabless_;  // they stay here until JavaScript has memory for them
  std::unique_ptr<Loop> loop_;
  // Used only if the I/O thread has a file table of its own. `bell_` is a waker in both file tables; the descriptor to
  // which uv_async_send() writes is not in the I/O thread's.
  Passage passage_;
  Waker bell_;
  uv_poll_t on_bell_{};
  uv_async_t async_{};
  pthread_t thread_{};
  uint32_t number_ = 0;
  bool running_ = false;
  bool delivering_ = false;
  bool closing_ = false;
  EventBatch* current_ = nullptr;  // the batch that is being delivered
  bool ended_ = false;             // libuv has closed the handles; within deliver(), if a handler runs libuv's loop
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

}  // namespace c1m
