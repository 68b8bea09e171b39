#include "native/features/files/file_sender.h"

#include <memory>
#include <utility>
#include <vector>

#include "native/features/files/send_file_request.h"
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

bool FileSender::send(SendFileRequest& request) {
  Entry* entry = table_.find(request.slot, request.generation);
  request.closed = entry == nullptr;
  if (request.closed) return true;
  if (entry->has(Connection::kWriteFailed)) {
    request.error = Error{entry->error, syscall_name(*entry)};
    return true;
  }
  if (request.source.valid()) {
    Result<Fd> brought = file_table_.bring(request.source);
    if (!brought) {
      request.error = brought.error();
      return true;
    }
    request.file.fd = std::move(brought.value());
  }
  request.file.owner = &request;
  if (queue(request.slot, *entry, request.file, request.max_write_queue)) return false;
  request.full = entry->error == static_cast<uint16_t>(OwnError::kWriteQueueFull);
  if (!request.full) request.error = Error{entry->error, syscall_name(*entry)};
  return true;
}

// False if that would be more than the limit allows, or than there is memory for: the connection is closed.
bool FileSender::queue(uint32_t slot, Entry& entry, OutboundFile& file, size_t limit) {
  if (entry.out.exceeds(limit, 0, QueueCost::kFile)) {
    table_.close_overflowed(slot, entry);
    return false;
  }
  if (!entry.out.append_file(table_.pool, file)) {
    table_.close_for_memory(slot, entry, Syscall::kWrite);
    return false;
  }
  load(slot, entry);
  table_.to_flush.push(slot);
  return true;
}

void FileSender::load(uint32_t slot, Entry& entry) {
  OutboundFile* file = entry.out.first_file();
  if (file == nullptr || file->with_worker) return;
  // It may have come into the page cache since a worker looked.
  if (file->done() || file->ready()) return table_.to_flush.push(slot);
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
  workers_.submit(std::move(job));
}

void FileSender::take_loaded() {
  FileJob* job = workers_.take_done();
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
    Entry& entry = table_.slots[request.slot];
    if (file.error) {
      entry.out.remove_file(table_.pool, file);
      load(request.slot, entry);
    }
    table_.to_flush.push(request.slot);
  }
}

void FileSender::break_off(uint32_t slot, Entry& entry, int error) {
  // Where a reset can't be had, as on a Unix socket, the close stays an ordinary one.
  (void)reset_on_close(entry.fd.get());
  table_.close(slot, entry, error, Syscall::kSendFile);
}

void FileSender::cancel(const CancelFileRequest& request) {
  Entry* entry = table_.find(request.slot, request.generation);
  OutboundFile* file = entry == nullptr ? nullptr : entry->out.find_file(request.id);
  if (file == nullptr) return;
  request_of(*file).aborted = true;
  if (file->sent > 0) return break_off(request.slot, *entry, static_cast<int>(OwnError::kFileAborted));
  entry->out.remove_file(table_.pool, *file);
  load(request.slot, *entry);
  table_.to_flush.push(request.slot);
}

void FileSender::finish() {
  std::vector<OutboundFile*> finished = std::move(table_.pool.finished());
  table_.pool.finished().clear();
  for (OutboundFile* file : finished) {
    SendFileRequest& request = request_of(*file);
    const Entry& entry = table_.slots[request.slot];
    if (file->error || file->truncated || request.aborted) {
      request.error = file->error;
    } else if (!file->done()) {
      // Dropped with its connection. An OwnError is about another file, or about something else altogether.
      const bool system = entry.error != 0 && entry.error < kFirstOwnError;
      request.closed = !system;
      if (system) request.error = Error{entry.error, syscall_name(entry)};
    }
    file->fd.reset();
    // A worker may have it still. The request is the JS thread's from here on.
    if (request.job != nullptr) std::exchange(request.job, nullptr)->request = nullptr;
    replies_.complete(&request);
  }
}

// Files that are queued no longer have their requests' replies to wait for.
void FileSender::close_all() {
  for (OutboundFile* file : table_.pool.finished()) file->fd.reset();
}

}  // namespace c1m
