#pragma once

#include <cstdint>
#include <memory>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/conn/framer.h"
#include "native/exchange/request.h"
#include "native/features/handover/depart_request.h"
#include "native/net/address.h"
#include "native/table/connection_settings.h"

namespace c1m {

// Takes a connected socket over from somebody else. Its kOpen says that it is here, and follows the answer.
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

// Gives a connection to somebody else. Its kClose, which follows the answer, says that no more events come.
class DetachRequest : public DepartRequest {
 public:
  bool closed = false;
  Error error;  // the connection stays
  Detached detached;

  [[nodiscard]] bool attempt(Loop& loop) override;
};

}  // namespace c1m
