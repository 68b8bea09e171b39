#pragma once

#include <cstddef>
#include <cstdint>

#include "native/conn/outbound_file.h"
#include "native/exchange/replies.h"
#include "native/features/files/file_workers.h"
#include "native/table/connection_table.h"
#include "native/table/file_table.h"

namespace c1m {

class CancelFileRequest;

// The files in the outbound queues: the workers open and load them, flush() sends them, and their requests are completed when
// they are done.
// Owner: one loop. Thread: the loop's.
class FileSender {
 public:
  FileSender(ConnectionTable& table, Replies& replies, const FileTable& files, uint32_t threads)
      : table_(table), replies_(replies), file_table_(files), workers_(table.poller, threads) {}

  // Sends a file behind what is queued already. True if the request is complete; otherwise it is completed later.
  [[nodiscard]] bool send(SendFileRequest& request);
  void cancel(const CancelFileRequest& request);
  // Gives the first file of the queue to a worker, if it has to be opened or loaded. The others wait, so that a connection has
  // one file open at a time.
  void load(uint32_t slot, Entry& entry);
  // A part of the file has gone out, and the rest won't: a FIN would make that look whole.
  void break_off(uint32_t slot, Entry& entry, int error);

  // Takes what the workers have done.
  void take_loaded();
  [[nodiscard]] bool has_loaded() const { return workers_.has_done(); }
  // Completes the requests whose files the queues have given up: in front of the kClose of their connection.
  void finish();

  // At the loop's end: first the workers, then, behind the connections, the files.
  void stop_workers() { workers_.stop(); }
  void close_all();

 private:
  [[nodiscard]] bool queue(uint32_t slot, Entry& entry, OutboundFile& file, size_t limit);

  ConnectionTable& table_;
  Replies& replies_;
  const FileTable& file_table_;
  FileWorkers workers_;
};

}  // namespace c1m
