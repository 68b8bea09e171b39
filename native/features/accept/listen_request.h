#pragma once

#include <cstdint>
#include <vector>

#include "native/exchange/request.h"
#include "native/features/accept/acceptor.h"
#include "native/net/listen.h"
#include "native/net/options.h"

namespace c1m {

// Opens a listening socket on the I/O thread, whose file table it must be in, and starts to accept.
class ListenRequest : public Request {
 public:
  ListenSpec spec;
  ConnectionSettings connections;
  bool accepts = true;  // false: another loop does, and hands this one its share
  Spread spread;
  std::vector<Fd> passages;  // of its loops, if they have file tables of their own; the JS thread's

  OptionFailure failure;
  Address bound;
  AppliedOptions applied;

  bool run(Loop& loop) override;
  // Opens the socket, and brings what is the JS thread's into the loop's file table. False if that failed.
  [[nodiscard]] bool open(const FileTable& files, Listening& listening);

 private:
  [[nodiscard]] Result<void> bring(const FileTable& files, Spread& to, Fd& given);
};

// Closes it behind those that its queue holds at this time.
class CloseListenerRequest : public Request {
 public:
  uint32_t index = 0;

  // The kOpen of some of them may still be in flight.
  uint32_t accepted = 0;

  bool run(Loop& loop) override;
};

}  // namespace c1m
