// Files in the outbound queues: opened and loaded by the workers, sent by flush(), answered when they are done.
#include <algorithm>
#include <utility>

#include "native/features/files/send_file_request.h"
#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

SendFileRequest& request_of(const OutboundFile& file) { return *static_cast<SendFileRequest*>(file.owner); }

const char* syscall_name(const Entry& entry) {
  switch (static_cast<Syscall>(entry.error_syscall)) {
    case Syscall::kRead:
      return "read";
    case Syscall::kWrite:
      return "write";
    case Syscall::kSendFile:
      return "sendfile";
  }
  return "write";
}

}  // namespace

SendFileRequest::~SendFileRequest() {
  if (job != nullptr) job->request = nullptr;
}

bool SendFileRequest::run(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
  closed = entry == nullptr;
  if (closed) return true;
  if (entry->has(Connection::kWriteFailed)) {
    error = Error{entry->error, syscall_name(*entry)};
    return true;
  }
  if (source.valid()) {
    Result<Fd> ours = loop.file_table().bring(source);
    if (!ours) {
      error = ours.error();
      return true;
    }
    file.fd = std::move(ours.value());
  }
  file.owner = this;
  if (loop.queue_file(slot, *entry, file, max_write_queue)) return false;
  full = entry->error == static_cast<uint16_t>(OwnError::kWriteQueueFull);
  if (!full) error = Error{entry->error, syscall_name(*entry)};
  return true;
}

bool CancelFileRequest::run(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
  if (entry != nullptr) loop.cancel_file(slot, *entry, id);
  return true;
}

bool Loop::queue_file(uint32_t slot, Entry& entry, OutboundFile& file, size_t limit) {
  if (entry.out.exceeds(limit, 0, QueueCost::kFile)) {
    overflow(slot, entry);
    return false;
  }
  if (!entry.out.append_file(pool_, file)) {
    close_for_memory(slot, entry, Syscall::kWrite);
    return false;
  }
  load_file(slot, entry);
  flush_.push(slot);
  return true;
}

// The first file of the queue goes to a worker, if it has to be opened, or to be loaded. The others wait, so that a
// connection has one file open at a time.
void Loop::load_file(uint32_t slot, Entry& entry) {
  OutboundFile* file = entry.out.first_file();
  if (file == nullptr || file->with_worker) return;
  // It may have come into the page cache since somebody looked.
  if (file->done() || file->ready()) return flush_.push(slot);
  SendFileRequest& request = request_of(*file);
  auto job = std::make_unique<FileJob>();
  job->request = &request;
  job->path = std::move(request.path);
  job->fd = std::move(file->fd);
  job->fresh = !file->inspected;
  job->offset = file->offset;
  job->end = file->end;
  request.job = job.get();
  file->with_worker = true;
  file_workers_.submit(std::move(job));
}

// What the workers have done.
void Loop::take_loaded() {
  FileJob* job = file_workers_.take_done();
  while (job != nullptr) {
    const std::unique_ptr<FileJob> done(job);
    job = done->next;
    if (done->request == nullptr) continue;
    SendFileRequest& request = *std::exchange(done->request, nullptr);
    OutboundFile& file = request.file;
    request.job = nullptr;
    file.with_worker = false;
    file.inspected = true;
    file.fd = std::move(done->fd);
    file.end = done->end;
    file.loaded_until = done->loaded_until;
    file.unsized = file.unsized || done->unsized;
    file.error = done->error;
    Entry& entry = entries_[request.slot];
    if (file.error) {
      entry.out.remove_file(pool_, file);
      load_file(request.slot, entry);
    }
    flush_.push(request.slot);
  }
}

// Part of it has gone out, and the rest won't: a FIN would make that look whole.
void Loop::break_off(uint32_t slot, Entry& entry, int error) {
  // Where a reset can't be had, as on a Unix socket, the close stays an ordinary one.
  (void)reset_on_close(entry.fd.get());
  close(slot, entry, error, Syscall::kSendFile);
}

void Loop::cancel_file(uint32_t slot, Entry& entry, uint32_t id) {
  OutboundFile* file = entry.out.find_file(id);
  if (file == nullptr) return;
  request_of(*file).aborted = true;
  if (file->sent > 0) return break_off(slot, entry, static_cast<int>(OwnError::kFileAborted));
  entry.out.remove_file(pool_, *file);
  load_file(slot, entry);
  flush_.push(slot);
}

// Answers those that the queues have given up. Before the kClose of their connection is handed over.
void Loop::finish_files() {
  std::vector<OutboundFile*> finished = std::move(pool_.finished());
  pool_.finished().clear();
  for (OutboundFile* file : finished) {
    SendFileRequest& request = request_of(*file);
    const Entry& entry = entries_[request.slot];
    if (file->error || file->truncated || request.aborted) {
      request.error = file->error;
    } else if (!file->done()) {
      // Dropped with its connection. An error of ours is about another file, or about something else altogether.
      const bool system = entry.error != 0 && entry.error < kFirstOwnError;
      request.closed = !system;
      if (system) request.error = Error{entry.error, syscall_name(entry)};
    }
    file->fd.reset();
    // A worker may have it still. The request is the JS thread's from here on.
    if (request.job != nullptr) std::exchange(request.job, nullptr)->request = nullptr;
    complete(&request);
  }
}

}  // namespace c1m
