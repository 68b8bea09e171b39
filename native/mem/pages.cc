#include "native/mem/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <memory>

namespace c1m {

void give_back_pages(const void* memory, size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  // madvise(2) takes what is read only here.
  void* first = const_cast<void*>(memory);
  // Moves `first` to a page's beginning, and takes what is before it off `bytes`; null if there is none.
  if (std::align(page, page, first, bytes) != nullptr) (void)::madvise(first, bytes / page * page, MADV_DONTNEED);
}

}  // namespace c1m
