#include "native/binding/napi.h"

#include <cerrno>

namespace Napi {

namespace {

Noted* noted(napi_env env) {
  void* data = nullptr;
  return napi_get_instance_data(env, &data) == napi_ok ? static_cast<Noted*>(data) : nullptr;
}

}  // namespace

bool Env::prepare() const {
  auto* data = new Noted;
  const auto end = [](napi_env, void* ended, void*) { delete static_cast<Noted*>(ended); };
  if (napi_set_instance_data(env_, data, end, nullptr) == napi_ok) return true;
  delete data;
  return false;
}

bool Env::failed(bool reset) const {
  Noted* data = noted(env_);
  if (data == nullptr) return false;
  const bool failed = data->failed;
  if (reset) data->failed = false;
  return failed;
}

void Env::note(bool failed) const {
  if (Noted* data = noted(env_); data != nullptr) data->failed = failed;
}

void Env::note_loose(int fd) const {
  if (Noted* data = noted(env_); data != nullptr) data->loose.note(fd);
}

void Env::forget_loose(int fd) const {
  if (Noted* data = noted(env_); data != nullptr) data->loose.forget(fd);
}

// Makes a call that Node refuses in this state (napi_pending_exception, napi_cannot_run_js), because it might run
// JavaScript.
bool Env::runs() const {
  report();
  bool equal = false;
  const napi_value undefined = Undefined();
  // A failure here has no meaning for values that are built afterwards.
  note(false);
  const napi_status status = napi_strict_equals(env_, undefined, undefined, &equal);
  return status != napi_pending_exception && status != napi_cannot_run_js;
}

void Env::report() const {
  bool pending = false;
  napi_value error = nullptr;
  // This does nothing while the environment is being terminated: no handler would run, and each of these calls fails.
  if (napi_is_exception_pending(env_, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) (void)napi_fatal_exception(env_, error);
}

void Env::forget() const {
  napi_value thrown = nullptr;
  (void)napi_get_and_clear_last_exception(env_, &thrown);
}

void Env::raise() const {
  bool pending = false;
  if (napi_is_exception_pending(env_, &pending) != napi_ok || pending) return;
  (void)napi_throw_range_error(env_, "ERR_MEMORY_ALLOCATION_FAILED", "Failed to allocate memory");
}

std::string String::Utf8Value() const {
  size_t length = 0;
  const napi_status measured = napi_get_value_string_utf8(Env(), *this, nullptr, 0, &length);
  if (measured == napi_string_expected || !Env().ok(measured)) return {};
  std::string text(length, '\0');
  // The call appends a null byte, for which std::string has room.
  Env().ok(napi_get_value_string_utf8(Env(), *this, text.data(), length + 1, &length));
  return text;
}

Value copy_buffer(Env env, const uint8_t* data, size_t length) {
  napi_value value = nullptr;
  void* copy = nullptr;
  env.ok(napi_create_buffer_copy(env, length, data, &copy, &value));
  return {env, value};
}

Value FunctionReference::Call(std::initializer_list<napi_value> arguments) const {
  const Napi::Env env(env_);
  napi_value function = nullptr;
  if (ref_ == nullptr || napi_get_reference_value(env_, ref_, &function) != napi_ok || function == nullptr) {
    return {};
  }
  const bool lacking = env.failed(true);
  Value instead = env.Undefined();
  if (lacking) {
    env.forget();
    const Object failure = Object::New(env);
    failure.Set("errno", ENOMEM);
    failure.Set("syscall", "malloc");
    instead = failure;
  }
  const napi_value only = instead;
  const napi_value self = env.Undefined();
  napi_value result = nullptr;
  const napi_status status =
      lacking ? napi_call_function(env_, self, function, 1, &only, &result)
              : napi_call_function(env_, self, function, arguments.size(), arguments.begin(), &result);
  if (status != napi_ok) env.report();
  env.note(false);
  return status == napi_ok ? Value(env_, result) : Value();
}

c1m::Bytes copy_of(const Uint8Array& bytes) {
  c1m::Bytes copy;
  if (!copy.append(bytes.Data(), bytes.ByteLength())) bytes.Env().note(true);
  return copy;
}

}  // namespace Napi
