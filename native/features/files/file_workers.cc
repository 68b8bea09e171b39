#include "native/features/files/file_workers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "native/features/files/send_file_request.h"
#include "native/net/file.h"

namespace c1m {

FileJob::~FileJob() {
  if (request != nullptr) request->job = nullptr;
}

void FileJob::run() {
  if (!fd.valid()) {
    Result<Fd> opened = open_file(path.c_str());
    if (!opened) {
      error = opened.error();
      return;
    }
    fd = std::move(opened.value());
  }
  if (fresh) inspect();
  if (error || loaded_until > offset || offset >= end) return;
  const uint64_t window = std::min(OutboundFile::kWindow, end - offset);
  if (!is_cached(fd.get(), offset, window)) load_into_cache(fd.get(), offset, window);
  // Even if it could not be read: sendfile(2) will say why.
  loaded_until = offset + window;
}

void FileJob::inspect() {
  Result<FileInfo> info = inspect_file(fd.get());
  if (!info) {
    error = info.error();
    return;
  }
  const uint64_t size = info.value().size;
  // Files of procfs say that they are empty: only a read shows what is there.
  unsized = size == 0;
  if (!unsized) end = std::min(end, size);
  if (unsized || info.value().in_memory) loaded_until = OutboundFile::kWhole;
}

void FileWorkers::submit(std::unique_ptr<FileJob> job) {
  Shared& shared = *shared_;
  {
    const std::lock_guard<std::mutex> lock(shared.mutex);
    const bool wanted = shared.queue.size() >= shared.idle && shared.threads < max_threads_;
    if (wanted && start_thread(shared_)) ++shared.threads;
    if (shared.threads > 0) {
      shared.queue.push_back(std::move(job));
      shared.wanted.notify_one();
      return;
    }
  }
  // Nobody else is there to take it.
  job->run();
  shared.done.push(job.release());
  shared.poller->wake();
}

bool FileWorkers::start_thread(const std::shared_ptr<Shared>& with) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  auto shared = std::make_unique<std::shared_ptr<Shared>>(with);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, work, shared.get()) == 0;
  pthread_attr_destroy(&attributes);
  // The reference to `Shared` is the thread's from here on. The thread names itself, because no other may use the number of a detached one.
  if (started) (void)shared.release();
  return started;
}

void* FileWorkers::work(void* argument) {
  pthread_setname_np(pthread_self(), "c1m-file");
  const std::unique_ptr<std::shared_ptr<Shared>> owned(static_cast<std::shared_ptr<Shared>*>(argument));
  Shared& shared = **owned;
  std::unique_lock<std::mutex> lock(shared.mutex);
  for (;;) {
    ++shared.idle;
    shared.wanted.wait(lock, [&] { return shared.poller == nullptr || !shared.queue.empty(); });
    --shared.idle;
    if (shared.poller == nullptr) break;
    std::unique_ptr<FileJob> job = std::move(shared.queue.front());
    shared.queue.pop_front();
    run(shared, std::move(job), lock);
  }
  --shared.threads;
  shared.left.notify_all();
  lock.unlock();
  return nullptr;
}

// With the lock, but for the time that the disk takes.
void FileWorkers::run(Shared& shared, std::unique_ptr<FileJob> job, std::unique_lock<std::mutex>& lock) {
  shared.running.push_back(job.get());
  lock.unlock();
  job->run();
  lock.lock();
  FileJob* const done = job.get();
  if (shared.poller == nullptr) {
    // Thrown away: stop() has parted it from its request. Closing its file may wait for the disk as well.
    lock.unlock();
    job.reset();
    lock.lock();
  }
  std::erase(shared.running, done);
  if (shared.poller == nullptr) return;
  shared.done.push(job.release());
  // Under the lock, so that it is there.
  shared.poller->wake();
}

void FileWorkers::stop() {
  Shared& shared = *shared_;
  std::unique_lock<std::mutex> lock(shared.mutex);
  shared.poller = nullptr;
  shared.queue.clear();
  for (FileJob* job : shared.running) {
    if (job->request != nullptr) std::exchange(job->request, nullptr)->job = nullptr;
  }
  shared.wanted.notify_all();
  shared.left.wait(lock, [&] { return shared.threads <= shared.running.size(); });
  FileJob* done = shared.done.take();
  while (done != nullptr) delete std::exchange(done, done->next);
}

}  // namespace c1m
