#include "native/conn/outbound_file.h"

#include <algorithm>

#include "native/net/file.h"

namespace c1m {

bool OutboundFile::ready() {
  if (with_worker || !inspected) return false;
  if (offset < loaded_until || offset >= end) return true;
  const uint64_t window = std::min(kWindow, end - offset);
  if (!is_cached(fd.get(), offset, window)) return false;
  loaded_until = offset + window;
  return true;
}

}  // namespace c1m
