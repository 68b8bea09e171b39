#pragma once

#include "native/exchange/request.h"

namespace c1m {

class Departures;

// Takes its connection's socket out of the loop. With a file table of its own that goes through the passage to the JS thread's,
// and the requests are carried out one after the other, in which order the sockets come out of there. Where the passage is full
// it waits for the JS thread, which empties it with each batch, and for nothing else; until then the connection is as before.
class DepartRequest : public ConnectionRequest {
 public:
  bool run(Loop& loop) final;
  // False if the passage is full.
  [[nodiscard]] virtual bool attempt(Departures& departures) = 0;
};

}  // namespace c1m
