#ifndef C1M_BENCH_DOWNLOAD_RUN_H_
#define C1M_BENCH_DOWNLOAD_RUN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "histogram.h"

namespace bench {

struct DownloadOptions {
  uint16_t port;
  size_t connections;
  int64_t bytes;
  int64_t downloads;  // by each connection, one after the other
};

// Gets /<bytes> over HTTP/1.1 on persistent connections, and discards the bodies in the kernel (MSG_TRUNC, tcp(7)), so
// that the client's copy is not measured. After one warm-up download on each connection it reports `ready`, waits for a
// line, and reports `result`.
class DownloadRun {
 public:
  explicit DownloadRun(const DownloadOptions& options) : options_(options) {}

  bool run();

 private:
  struct Download {
    int fd;
    int64_t left;        // downloads that have not begun
    int64_t missing;     // bytes of the body; -1 in the head
    int64_t started_ns;  // when the request was sent
    std::string head;
  };

  bool phase(int64_t downloads);
  bool begin(Download& download);
  bool receive(Download& download);
  bool take_head(Download& download);

  const DownloadOptions options_;
  std::vector<Download> all_;
  int epoll_ = -1;
  size_t busy_ = 0;
  Histogram times_;
};

}  // namespace bench

#endif  // C1M_BENCH_DOWNLOAD_RUN_H_
