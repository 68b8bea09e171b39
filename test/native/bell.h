#pragma once

#include <semaphore.h>
#include <time.h>

#include <cerrno>

namespace c1m {

// Wakes a thread that waits for it, as an eventfd and an async handle do: a ring before the wait counts.
class Bell {
 public:
  Bell() { sem_init(&semaphore_, 0, 0); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  ~Bell() { sem_destroy(&semaphore_); }

  void ring() { sem_post(&semaphore_); }

  // Returns false if there was no ring for ten seconds: a wake-up was lost.
  [[nodiscard]] bool wait() {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    while (sem_timedwait(&semaphore_, &until) != 0) {
      if (errno != EINTR) return false;
    }
    return true;
  }

 private:
  sem_t semaphore_{};
};

}  // namespace c1m
