#include "native/loop/file_workers.h"

#include <algorithm>
#include <utility>

#include "native/loop/send_file_request.h"
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
  // As files of procfs say that they are empty, only reading tells.
  unsized = size == 0;
  if (!unsized) end = std::min(end, size);
  if (unsized || info.value().in_memory) loaded_until = OutboundFile::kWhole;
}

void FileWorkers::submit(std::unique_ptr<FileJob> job) {
  bool wanted = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(job));
    wanted = queue_.size() > idle_ && threads_.size() < most_;
  }
  if (wanted) (void)start_thread();
  if (!threads_.empty()) return wanted_.notify_one();
  // Nobody else is there to take it.
  job = std::move(queue_.back());
  queue_.pop_back();
  job->run();
  done_.push(job.release());
  poller_.wake();
}

bool FileWorkers::start_thread() {
  pthread_t thread{};
  if (pthread_create(&thread, nullptr, work, this) != 0) return false;
  pthread_setname_np(thread, "c1m-file");
  threads_.push_back(thread);
  return true;
}

void* FileWorkers::work(void* workers) {
  auto& self = *static_cast<FileWorkers*>(workers);
  std::unique_lock<std::mutex> lock(self.mutex_);
  for (;;) {
    ++self.idle_;
    self.wanted_.wait(lock, [&] { return self.stopping_ || !self.queue_.empty(); });
    --self.idle_;
    if (self.stopping_) return nullptr;
    std::unique_ptr<FileJob> job = std::move(self.queue_.front());
    self.queue_.pop_front();
    lock.unlock();
    job->run();
    self.done_.push(job.release());
    self.poller_.wake();
    lock.lock();
  }
}

void FileWorkers::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  wanted_.notify_all();
  for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
  FileJob* done = done_.take();
  while (done != nullptr) delete std::exchange(done, done->next);
}

}  // namespace c1m
