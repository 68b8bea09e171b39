#include "native/poll/waker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace c1m {

Result<Waker> Waker::create() {
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) return Error::last("eventfd");
  return Waker(std::move(fd));
}

void Waker::wake() const {
  const uint64_t one = 1;
  // It can't fail: the counter would have to be read never and written 2^64 times.
  (void)!::write(fd_.get(), &one, sizeof one);
}

void Waker::clear() const {
  uint64_t count = 0;
  (void)!::read(fd_.get(), &count, sizeof count);
}

}  // namespace c1m
