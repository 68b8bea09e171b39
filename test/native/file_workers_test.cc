// Threads that wait for disks: neither a loop nor the end of a process waits for them.
#include "native/features/files/file_workers.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <semaphore>
#include <thread>

#include "native/features/files/send_file_request.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

size_t threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

// A file server that doesn't respond: open(2) of `kPath` blocks until the destructor runs. The hooks share the gates
// with it, because their threads may outlive it.
struct DeadDisk {
  explicit DeadDisk(shim::Hooks& hooks) {
    hooks.open = [gates = gates](const char* path, int flags) {
      if (std::string_view(path) != kPath) return shim::__real_open(path, flags);
      gates->waiting.release();
      gates->back.acquire();
      return shim::__real_open("/dev/null", flags);
    };
  }
  ~DeadDisk() { gates->back.release(100); }
  void wait_for_one() { gates->waiting.acquire(); }

  struct Gates {
    std::counting_semaphore<> waiting{0};
    std::counting_semaphore<> back{0};
  };
  static constexpr const char* kPath = "/dead";
  const std::shared_ptr<Gates> gates = std::make_shared<Gates>();
};

std::unique_ptr<SendFileRequest> send_dead(const Told& told, uint32_t id) {
  auto request = std::make_unique<SendFileRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  request->path = DeadDisk::kPath;
  request->file.id = id;
  request->file.end = OutboundFile::kWhole;
  return request;
}

}  // namespace

TEST_CASE("destroying the file workers doesn't wait for a dead disk, and their threads clean up when it is back") {
  const DescriptorCheck descriptors;
  shim::Scope scope;
  DeadDisk disk(scope.hooks);
  Poller poller = std::move(Poller::create(Trigger::kEdge).value());
  SendFileRequest running;
  SendFileRequest queued;
  {
    FileWorkers workers(poller, 2);
    for (int i = 0; i < 4; ++i) {
      auto job = std::make_unique<FileJob>();
      job->path = DeadDisk::kPath;
      if (i == 0 || i == 3) {
        job->request = i == 0 ? &running : &queued;
        job->request->job = job.get();
      }
      workers.submit(std::move(job));
    }
    disk.wait_for_one();
    disk.wait_for_one();
    // The destructor returns while both threads are in open(2).
  }
  CHECK(running.job == nullptr);
  CHECK(queued.job == nullptr);
}

TEST_CASE("a loop can end while a file thread waits for a dead disk, and the connections are closed") {
  for (const bool destroys : {false, true}) {
    const DescriptorCheck descriptors;
    Harness h({.file_threads = 1});
    DeadDisk disk(h.hooks);
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    h.js.request(send_dead(told, 1));
    h.js.request(send_dead(told, 2));
    h.turn();
    disk.wait_for_one();
    if (destroys) {
      h.js.destroy(told);
      h.settle();
      CHECK(told.log == "OC");
      CHECK(h.js.completed.size() == 3);
      h.finish();
    }
    h.stop();
  }
}

TEST_CASE("file threads that wait for work end with their loop") {
  const DescriptorCheck descriptors;
  const size_t before = threads();
  {
    Poller poller = std::move(Poller::create(Trigger::kEdge).value());
    FileWorkers workers(poller, 4);
    for (int i = 0; i < 20; ++i) {
      auto job = std::make_unique<FileJob>();
      job->path = "/dev/null";
      workers.submit(std::move(job));
    }
    int done = 0;
    while (done < 20) {
      for (FileJob* job = workers.take_done(); job != nullptr; ++done) delete std::exchange(job, job->next);
      std::this_thread::yield();
    }
  }
  while (threads() > before) std::this_thread::yield();
}
