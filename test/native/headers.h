// Precompiled once for each flavour, which halves the time to compile a file. Each file still includes what it uses.
#ifdef __cpp_exceptions
#include <doctest/doctest.h>
#endif

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
