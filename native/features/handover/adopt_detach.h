#pragma once

#include <cstdint>
#include <memory>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/conn/framer.h"
#include "native/exchange/request.h"
#include "native/features/handover/depart_request.h"
#include "native/net/address.h"
#include "native/table/connection_table.h"
#include "native/table/file_table.h"

namespace c1m {

// Takes a connected socket over from other code. Its kOpen says that it is here, and follows the reply.
class AdoptRequest : public Request {
 public:
  Fd fd;  // the JS thread's
  PackedAddress peer;
  std::unique_ptr<Framer> unread;  // read from it before: delivered first; null for nothing
  ConnectionSettings connection;

  Error error;
  bool full = false;  // there is no slot
  uint32_t slot = 0;

  bool run(Loop& loop) override;
};

// What a connection that leaves takes along, in the order in which the bytes were received and are to be sent.
struct Detached {
  // Another descriptor of the same socket: the slot's own stays until JavaScript has handed back kClose. None: it is the
  // next that comes out of the passage.
  Fd fd;
  std::unique_ptr<Framer> unread;  // null for nothing
  Bytes unsent;
};

// Gives a connection to other code. Its kClose, which follows the reply, says that no more events come.
class DetachRequest : public DepartRequest {
 public:
  bool closed = false;
  Error error;  // the connection stays
  Detached detached;

  [[nodiscard]] bool attempt(Departures& departures) override;
};

// Takes sockets in that come from elsewhere, and gives connections away.
// Owner: one loop. Thread: the loop's.
class AdoptDetach {
 public:
  AdoptDetach(ConnectionTable& table, const FileTable& files) : table_(table), file_table_(files) {}

  void adopt(AdoptRequest& request);
  // Takes the connection out: to JavaScript it closes, in order behind all that was delivered; to its peer it doesn't. After an
  // error it is here as before. False if the passage is full.
  [[nodiscard]] bool detach(DetachRequest& request);

 private:
  [[nodiscard]] Result<Detached> take_out(uint32_t slot, Entry& entry);

  ConnectionTable& table_;
  const FileTable& file_table_;
};

}  // namespace c1m
