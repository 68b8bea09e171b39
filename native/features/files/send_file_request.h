#pragma once

#include <cstdint>
#include <string>

#include "native/conn/outbound_file.h"
#include "native/exchange/request.h"
#include "native/features/files/file_workers.h"

namespace c1m {

// Queues a range of a file on a connection; done when its last byte has gone to the kernel, or will never.
class SendFileRequest : public ConnectionRequest {
 public:
  ~SendFileRequest() override;

  std::string path;  // if there is no `source`: opened when it is the first file of the queue
  Fd source;         // the JS thread's
  OutboundFile file;
  size_t max_write_queue = SIZE_MAX;

  FileJob* job = nullptr;  // a worker has it

  // The answer: if none of these, file.sent is.
  bool closed = false;   // the connection has gone, and nothing is known of why
  bool aborted = false;  // by a CancelFileRequest
  bool full = false;     // more waits on the connection than may: it was closed
  Error error;           // the file's, or the connection's

  bool run(Loop& loop) override;
};

// Gives the file of this id up: its answer is `aborted`, unless it had one. If part of it has gone out already the connection is
// reset.
class CancelFileRequest : public ConnectionRequest {
 public:
  uint32_t id = 0;

  bool run(Loop& loop) override;
};

}  // namespace c1m
