#pragma once

#include <span>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/net/descriptor.h"
#include "native/net/linux/own_file_table.h"

namespace c1m {

// Whose file table the loop's descriptors are in: the process's, as those of the JS thread; or one of this thread alone, so
// that RLIMIT_NOFILE and fs.nr_open count for each thread on its own.
//
// With a table of its own, a number means one thing to the loop and another to the JS thread, and each may close only what is
// its own:
//   - What was there before own() and was kept has its number in both. The JS thread closes its copies; the loop's go with the
//     thread.
//   - A request's descriptors are the JS thread's, before and after it has run; bring() makes one of the loop's.
//   - All others are the loop's, and Loop::close_all() closes them: nothing of them may be left to a destructor, which runs on
//     the JS thread.
//
//   JS thread ── the number, in a request ──▶ bring(): pidfd_getfd(2) ──▶ loop
//   JS thread ◀── outer ══════ passage ══════ inner ── hand_out() ── loop
//   another loop ── its copy of the outer end ══════ inner ── receive() ──▶ loop
//
// Owner: one loop. Thread: the loop's.
class FileTable {
 public:
  // Before the thread's first turn. What is to be kept is taken along, the passage's inner end among it.
  Result<void> own(std::span<const int> kept, int passage);
  [[nodiscard]] bool is_own() const { return process_.valid(); }

  // A descriptor that is the JS thread's as one of the loop's: itself, or where the tables differ a duplicate; what is left
  // in `theirs` is the JS thread's to close.
  [[nodiscard]] Result<Fd> bring(Fd& theirs) const;
  // A duplicate of one of the JS thread's, for a table of its own.
  [[nodiscard]] Result<Fd> bring_number(int theirs) const { return take_descriptor(process_.get(), theirs); }
  // The other way: a duplicate for the JS thread. None, where the tables differ: it is the next that comes out of the
  // passage's outer end. EAGAIN or ETOOMANYREFS: not now.
  [[nodiscard]] Result<Fd> hand_out(int fd) const;
  // The next that another loop has put into the passage's outer end.
  [[nodiscard]] Result<Fd> receive() const { return receive_descriptor(passage_); }
  // Closes what was not received; nothing more may be in flight.
  void close();

 private:
  Fd process_;
  int passage_ = -1;
};

}  // namespace c1m
