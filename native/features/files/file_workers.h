#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/exchange/handoff.h"
#include "native/poll/poller.h"

namespace c1m {

class SendFileRequest;

// Something that may wait for a disk: opening a file, looking at it, and loading the next window of it.
// Owner: FileWorkers, until it is done; then the loop. `request` is the loop's alone.
struct FileJob {
  FileJob() = default;
  FileJob(const FileJob&) = delete;
  FileJob& operator=(const FileJob&) = delete;
  ~FileJob();

  // What the worker does: opens `path` if there is no `fd`, inspects it if `fresh`, loads from `offset` on.
  void run();

  SendFileRequest* request = nullptr;  // null: no request waits for it any more
  std::string path;
  Fd fd;
  bool fresh = true;
  bool unsized = false;  // see OutboundFile
  uint64_t offset = 0;
  uint64_t end = 0;           // cut to the size of the file
  uint64_t loaded_until = 0;  // answer: up to here no disk has to be waited for
  Error error;                // answer
  FileJob* next = nullptr;    // for Handoff

 private:
  void inspect();
};

// The threads that wait for disks, so that the loop doesn't. They are started when there is work for them, up to
// `max_threads`; with 0, or where no thread can be had, a job is done immediately on the loop's thread.
//
//   loop ── submit ──▶ queue (a mutex) ──▶ workers ── done_ (Handoff), and a wake of the poller ──▶ loop
//
// No wake-up is lost: the push to done_ comes before the write to the poller's eventfd. Its edge ends the next wait; the
// loop looks at done_ between a wait that took the edge and one that sleeps. The I/O thread creates them, so that they share its file table and its blocked signals.
//
// The loop never waits for them: what hangs on a disk, or on a file server that is gone, may do so for ever, and the loop, the JS
// thread and the environment end meanwhile. So all that a thread touches is in Shared, which goes with the last thread that has
// it, and the addon's code stays loaded (binding.gyp).
// Owner: one loop. Thread: the loop's.
class FileWorkers {
 public:
  FileWorkers(Poller& poller, uint32_t max_threads)
      : shared_(std::make_shared<Shared>(poller)), max_threads_(max_threads) {}
  FileWorkers(const FileWorkers&) = delete;
  FileWorkers& operator=(const FileWorkers&) = delete;
  ~FileWorkers() { stop(); }

  // It comes back by take_done(), in any order.
  void submit(std::unique_ptr<FileJob> job);
  // All that are done, linked by `next`, for the caller to delete; null if there are none.
  [[nodiscard]] FileJob* take_done() { return shared_->done.take(); }
  [[nodiscard]] bool has_done() const { return !shared_->done.empty(); }
  // Drops all jobs, and ends the threads: those that are at a job end when it does, and nothing waits for that.
  void stop();

 private:
  // Owner: the loop and each of the threads. Thread: any, what stands below the mutex under it.
  struct Shared {
    explicit Shared(Poller& of) : poller(&of) {}

    Handoff<FileJob> done;
    std::mutex mutex;
    std::condition_variable wanted;
    std::condition_variable left;  // a thread has ended

    Poller* poller;  // null: the loop has ended
    std::deque<std::unique_ptr<FileJob>> queue;
    std::vector<FileJob*> running;
    uint32_t idle = 0;
    uint32_t threads = 0;
  };

  static void* work(void* shared);
  static void run(Shared& shared, std::unique_ptr<FileJob> job, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] static bool start_thread(const std::shared_ptr<Shared>& shared);

  const std::shared_ptr<Shared> shared_;
  const uint32_t max_threads_;
};

}  // namespace c1m
