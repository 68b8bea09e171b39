#ifndef C1M_BENCH_COMMAND_LINE_H_
#define C1M_BENCH_COMMAND_LINE_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>

namespace bench {

// Parses `--name number` pairs. An unknown name, or a value that isn't a number, ends the program with a message: a
// benchmark that ignores an option would measure something else than it reports.
class CommandLine {
 public:
  CommandLine(int count, char** words) {
    for (int i = 0; i < count; i += 2) {
      const std::string name = words[i];
      if (name.rfind("--", 0) != 0 || i + 1 >= count) fail(name, "expected --name number");
      char* end = nullptr;
      const long value = strtol(words[i + 1], &end, 10);
      if (end == words[i + 1] || *end != '\0') fail(name, "needs a number");
      values_[name.substr(2)] = value;
    }
  }

  long take(const std::string& name, long fallback) {
    const auto found = values_.find(name);
    if (found == values_.end()) return fallback;
    const long value = found->second;
    values_.erase(found);
    return value;
  }

  void reject_the_rest() const {
    if (!values_.empty()) fail("--" + values_.begin()->first, "unknown option");
  }

 private:
  [[noreturn]] static void fail(const std::string& name, const char* why) {
    (void)fprintf(stderr, "%s: %s\n", name.c_str(), why);
    std::_Exit(2);  // no thread runs yet that would have to be ended
  }

  std::unordered_map<std::string, long> values_;
};

}  // namespace bench

#endif  // C1M_BENCH_COMMAND_LINE_H_
