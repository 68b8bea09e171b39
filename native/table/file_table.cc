#include "native/table/file_table.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace c1m {

namespace {

// The table is as good as empty: sooner or later there is a number that no descriptor may have.
Result<Fd> open_process_beside(std::span<const int> kept) {
  std::vector<Fd> in_the_way;
  for (;;) {
    Result<Fd> process = open_own_process();
    if (!process || std::ranges::find(kept, process.value().get()) == kept.end()) return process;
    in_the_way.push_back(std::move(process.value()));
  }
}

}  // namespace

Result<void> FileTable::own(std::span<const int> kept, int passage) {
  const Result<void> left = leave_file_table();
  if (!left) return left;
  Result<Fd> process = open_process_beside(kept);
  if (!process) return process.error();
  for (const int fd : kept) {
    const Result<void> taken = take_descriptor_as(process.value().get(), fd, fd);
    if (!taken) return taken;
  }
  process_ = std::move(process.value());
  passage_ = passage;
  return {};
}

Result<Fd> FileTable::bring(Fd& theirs) const {
  if (!is_own()) return std::move(theirs);
  return bring_number(theirs.get());
}

Result<Fd> FileTable::hand_out(int fd) const {
  if (!is_own()) return duplicate(fd);
  const Result<void> sent = send_descriptor(passage_, fd);
  if (!sent) return sent.error();
  return Fd();
}

void FileTable::close() {
  if (!is_own()) return;
  for (;;) {
    const Result<Fd> unwanted = receive();
    // A full table is no obstacle: what does not fit is closed all the same.
    if (!unwanted && unwanted.error().code != EMFILE) break;
  }
  process_.reset();
}

}  // namespace c1m
