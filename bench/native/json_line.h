#ifndef C1M_BENCH_JSON_LINE_H_
#define C1M_BENCH_JSON_LINE_H_

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

namespace bench {

// One flat JSON object, written to stdout as one line. Keys and texts are constants of the program, so nothing is
// escaped.
class JsonLine {
 public:
  explicit JsonLine(const char* event) { text_ = std::string("{\"event\":\"") + event + "\""; }

  JsonLine& add(const char* key, int64_t value) {
    text_ += std::string(",\"") + key + "\":" + std::to_string(value);
    return *this;
  }
  JsonLine& add(const char* key, const std::string& value) {
    text_ += std::string(",\"") + key + "\":\"" + value + "\"";
    return *this;
  }
  void print() {
    text_ += "}\n";
    (void)fwrite(text_.data(), 1, text_.size(), stdout);
    (void)fflush(stdout);
  }

 private:
  std::string text_;
};

}  // namespace bench

#endif  // C1M_BENCH_JSON_LINE_H_
