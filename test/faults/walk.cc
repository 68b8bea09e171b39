// Lets Node-API calls and allocations fail under the whole addon, for test/walk/walk.ts: the linker sends the addon's
// own calls here (`--wrap`). Each place that calls fails once. The program arms it through a file that both have
// mapped: the first place that has not failed yet fails, and writes its name there.
//
//   file:  | armed: '1' | … 4: places of operator new | … 16: the name of the place, ended by a null byte |
//
// A place of `operator new` fails as in the standard: the new-handler is called, and then there is memory. The caller
// doesn't notice, so any number of them fail in a round; but each must find the spare memory, without which the process
// would end.
//
// A place is the call and up to four of its callers, because most calls are in a function of native/binding/napi.h, or
// in templates of the C++ library.
#include <fcntl.h>
#include <node_api.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <set>
#include <string_view>
#include <utility>

struct uv_loop_s;

namespace c1m::spare_memory {
bool is_there();
}

namespace {

constexpr size_t kCallers = 4;
using Place = std::array<const void*, kCallers>;

struct Control {
  std::atomic<char> armed;
  std::atomic<uint32_t> quiet;
  char unused[8];
  char hit[240];
};

Control* control() {
  static Control* const mapped = [] {
    const char* name = std::getenv("C1M_WALK");
    const int fd = name == nullptr ? -1 : ::open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return static_cast<Control*>(nullptr);
    void* memory = ::mmap64(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    return memory == MAP_FAILED ? nullptr : static_cast<Control*>(memory);
  }();
  return mapped;
}

// True within a function of this file, and within an allocation.
thread_local bool inside = false;

// Returns the callers of a frame. The addon is compiled with frame pointers, but Node and the C++ library aren't:
// frames outside of the stack's next 64 KiB are not followed.
Place callers_of(void* const* frame) {
  constexpr uintptr_t kReach = 64 * 1024;
  Place place{};
  const auto first = reinterpret_cast<uintptr_t>(frame);
  uintptr_t at = first;
  for (const void*& caller : place) {
    const auto* pair = reinterpret_cast<void* const*>(at);
    caller = pair[1];
    const auto next = reinterpret_cast<uintptr_t>(pair[0]);
    if (next <= at || next > first + kReach || next % sizeof(void*) != 0) break;
    at = next;
  }
  return place;
}

bool fails(const char* call, void* const* frame, bool quiet = false) {
  if (inside) return false;
  inside = true;
  Control* const shared = control();
  bool now = shared != nullptr && shared->armed.load(std::memory_order_relaxed) == '1';
  if (now) {
    static std::mutex mutex;
    static auto* const failed = new std::set<std::pair<std::string_view, Place>>;
    const Place place = callers_of(frame);
    const std::lock_guard lock(mutex);
    now = shared->armed.load(std::memory_order_relaxed) == '1' && failed->insert({call, place}).second;
    if (now && quiet) {
      shared->quiet.fetch_add(1, std::memory_order_relaxed);
    } else if (now) {
      std::snprintf(shared->hit, sizeof shared->hit, "%s %p %p %p %p", call, place[0], place[1], place[2], place[3]);
      shared->armed.store('0', std::memory_order_release);
    }
  }
  inside = false;
  return now;
}

// Calls the new-handler, as operator new does before it tries again.
void find_memory() {
  if (const std::new_handler handler = std::get_new_handler(); handler != nullptr) handler();
}

}  // namespace

#define FRAME static_cast<void* const*>(__builtin_frame_address(0))
#define FAIL(call, parameters, arguments)                 \
  extern "C" napi_status __real_##call parameters;        \
  extern "C" napi_status __wrap_##call parameters {       \
    if (fails(#call, FRAME)) return napi_generic_failure; \
    return __real_##call arguments;                       \
  }
FAIL(napi_create_object, (napi_env env, napi_value* result), (env, result))
FAIL(napi_create_array_with_length, (napi_env env, size_t length, napi_value* result), (env, length, result))
FAIL(napi_create_string_utf8, (napi_env env, const char* text, size_t length, napi_value* result),
     (env, text, length, result))
FAIL(napi_create_arraybuffer, (napi_env env, size_t length, void** data, napi_value* result),
     (env, length, data, result))
FAIL(napi_create_typedarray,
     (napi_env env, napi_typedarray_type type, size_t length, napi_value buffer, size_t offset, napi_value* result),
     (env, type, length, buffer, offset, result))
FAIL(napi_create_buffer_copy, (napi_env env, size_t length, const void* data, void** copy, napi_value* result),
     (env, length, data, copy, result))
FAIL(napi_create_external, (napi_env env, void* data, napi_finalize finalize, void* hint, napi_value* result),
     (env, data, finalize, hint, result))
FAIL(napi_create_reference, (napi_env env, napi_value value, uint32_t count, napi_ref* result),
     (env, value, count, result))
FAIL(napi_create_error, (napi_env env, napi_value code, napi_value message, napi_value* result),
     (env, code, message, result))
FAIL(napi_create_function,
     (napi_env env, const char* name, size_t length, napi_callback call, void* data, napi_value* result),
     (env, name, length, call, data, result))
FAIL(napi_define_class,
     (napi_env env, const char* name, size_t length, napi_callback call, void* data, size_t count,
      const napi_property_descriptor* properties, napi_value* result),
     (env, name, length, call, data, count, properties, result))
FAIL(napi_set_named_property, (napi_env env, napi_value object, const char* name, napi_value value),
     (env, object, name, value))
FAIL(napi_set_element, (napi_env env, napi_value object, uint32_t index, napi_value value), (env, object, index, value))
FAIL(napi_set_instance_data, (napi_env env, void* data, napi_finalize finalize, void* hint),
     (env, data, finalize, hint))
FAIL(napi_get_named_property, (napi_env env, napi_value object, const char* name, napi_value* result),
     (env, object, name, result))
FAIL(napi_get_element, (napi_env env, napi_value object, uint32_t index, napi_value* result),
     (env, object, index, result))
FAIL(napi_get_array_length, (napi_env env, napi_value array, uint32_t* result), (env, array, result))
FAIL(napi_get_typedarray_info,
     (napi_env env, napi_value array, napi_typedarray_type* type, size_t* length, void** data, napi_value* buffer,
      size_t* offset),
     (env, array, type, length, data, buffer, offset))
FAIL(napi_get_value_external, (napi_env env, napi_value value, void** result), (env, value, result))
FAIL(napi_get_value_int32, (napi_env env, napi_value value, int32_t* result), (env, value, result))
FAIL(napi_get_value_int64, (napi_env env, napi_value value, int64_t* result), (env, value, result))
FAIL(napi_get_value_string_utf8, (napi_env env, napi_value value, char* text, size_t size, size_t* length),
     (env, value, text, size, length))
FAIL(napi_get_value_uint32, (napi_env env, napi_value value, uint32_t* result), (env, value, result))
FAIL(napi_is_array, (napi_env env, napi_value value, bool* result), (env, value, result))
FAIL(napi_is_typedarray, (napi_env env, napi_value value, bool* result), (env, value, result))
FAIL(napi_typeof, (napi_env env, napi_value value, napi_valuetype* result), (env, value, result))
FAIL(napi_strict_equals, (napi_env env, napi_value one, napi_value other, bool* result), (env, one, other, result))
FAIL(napi_wrap, (napi_env env, napi_value object, void* native, napi_finalize finalize, void* hint, napi_ref* result),
     (env, object, native, finalize, hint, result))
FAIL(napi_reference_ref, (napi_env env, napi_ref reference, uint32_t* result), (env, reference, result))
FAIL(napi_async_init, (napi_env env, napi_value resource, napi_value name, napi_async_context* result),
     (env, resource, name, result))
FAIL(napi_open_callback_scope,
     (napi_env env, napi_value resource, napi_async_context context, napi_callback_scope* result),
     (env, resource, context, result))
FAIL(napi_throw, (napi_env env, napi_value error), (env, error))
FAIL(napi_throw_range_error, (napi_env env, const char* code, const char* message), (env, code, message))
FAIL(napi_get_uv_event_loop, (napi_env env, uv_loop_s** result), (env, result))
FAIL(napi_add_async_cleanup_hook,
     (napi_env env, napi_async_cleanup_hook hook, void* argument, napi_async_cleanup_hook_handle* result),
     (env, hook, argument, result))

#define LACK(call, parameters, arguments, nothing) \
  extern "C" void* __real_##call parameters;       \
  extern "C" void* __wrap_##call parameters {      \
    if (fails(#call, FRAME)) {                     \
      errno = ENOMEM;                              \
      return nothing;                              \
    }                                              \
    return __real_##call arguments;                \
  }
LACK(malloc, (size_t size), (size), nullptr)
LACK(calloc, (size_t count, size_t size), (count, size), nullptr)
LACK(realloc, (void* memory, size_t size), (memory, size), nullptr)
LACK(mmap64, (void* at, size_t size, int protection, int flags, int fd, off64_t offset),
     (at, size, protection, flags, fd, offset), MAP_FAILED)

#define NEW(call, parameters, arguments)                                           \
  extern "C" void* __real_##call parameters;                                       \
  extern "C" void* __wrap_##call parameters {                                      \
    if (c1m::spare_memory::is_there() && fails(#call, FRAME, true)) find_memory(); \
    return __real_##call arguments;                                                \
  }
NEW(_Znwm, (size_t size), (size))
NEW(_Znam, (size_t size), (size))
NEW(_ZnwmSt11align_val_t, (size_t size, size_t alignment), (size, alignment))

// The function is called, and throws at its end.
extern "C" napi_status __real_napi_call_function(napi_env env, napi_value self, napi_value function, size_t count,
                                                 const napi_value* arguments, napi_value* result);
extern "C" napi_status __wrap_napi_call_function(napi_env env, napi_value self, napi_value function, size_t count,
                                                 const napi_value* arguments, napi_value* result) {
  const bool throws = fails("napi_call_function", FRAME);
  const napi_status status = __real_napi_call_function(env, self, function, count, arguments, result);
  if (!throws || status != napi_ok) return status;
  __real_napi_throw_range_error(env, "WALK", "thrown by the walk");
  return napi_pending_exception;
}
