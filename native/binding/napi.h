#pragma once

#include <node_api.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "native/binding/loose_descriptors.h"
#include "native/mem/bytes.h"

// Node-API with a check at every call. Names are node-addon-api's, whose way with a failure isn't acceptable here: it
// makes an Error of each, and ends the process if that fails too, as it does while an environment is being terminated
// (`Napi::Error::Fatal`).
//
// Here a call that fails, for lack of memory or because JavaScript no longer runs, returns an empty value (0, false,
// ""), and is noted in the environment. Code that builds something from such results asks `Env::failed()` before it
// uses that. An exception of JavaScript's stays pending in a call by JavaScript, and is reported in a call of
// JavaScript.
namespace Napi {

class Value;
class CallbackInfo;

// The notes on an environment. Owner: the environment, as its instance data. Thread: its JS thread's.
struct Noted {
  bool failed = false;
  c1m::LooseDescriptors loose;
};

class Env {
 public:
  Env(napi_env env) : env_(env) {}
  operator napi_env() const { return env_; }

  // Prepares the environment, once, before anything else. Returns false if there is no memory for it.
  [[nodiscard]] bool prepare() const;
  // Returns true if the call went well, and notes a failure if not.
  bool ok(napi_status status) const {
    if (status == napi_ok) return true;
    note(true);
    return false;
  }
  // Returns true if a call has failed since this was noted last; resets that to false.
  bool failed(bool reset = false) const;
  void note(bool failed) const;
  // Notes that the descriptor is a number in JavaScript from here on, and is closed with the environment; or that it
  // has an owner again.
  void note_loose(int fd) const;
  void forget_loose(int fd) const;
  // Returns true if JavaScript can be called: not once the environment is being terminated. Needs a HandleScope.
  [[nodiscard]] bool runs() const;
  // Makes an uncaught exception of what JavaScript threw, and continues if the process does.
  void report() const;
  // Clears the exception of a failed Node-API call: its failure is reported in another way.
  void forget() const;
  // Makes an exception of a failure, if JavaScript has thrown none.
  void raise() const;
  [[nodiscard]] Value Undefined() const;

 private:
  napi_env env_;
};

class Value {
 public:
  Value() = default;
  Value(napi_env env, napi_value value) : env_(env), value_(value) {}
  operator napi_value() const { return value_; }
  [[nodiscard]] Napi::Env Env() const { return env_; }

  [[nodiscard]] bool IsUndefined() const { return is(napi_undefined); }
  [[nodiscard]] bool IsNumber() const { return is(napi_number); }
  [[nodiscard]] bool IsBoolean() const { return is(napi_boolean); }
  [[nodiscard]] bool IsString() const { return is(napi_string); }
  [[nodiscard]] bool IsExternal() const { return is(napi_external); }
  [[nodiscard]] bool IsObject() const { return is(napi_object) || is(napi_function); }
  [[nodiscard]] bool IsArray() const {
    bool is = false;
    return Env().ok(napi_is_array(env_, value_, &is)) && is;
  }
  [[nodiscard]] bool IsTypedArray() const {
    bool is = false;
    return Env().ok(napi_is_typedarray(env_, value_, &is)) && is;
  }
  template <class T>
  [[nodiscard]] T As() const {
    return T(env_, value_);
  }
  // No conversion takes place: a value of another type is 0, false or "".
  [[nodiscard]] class Number ToNumber() const;
  [[nodiscard]] class Boolean ToBoolean() const;
  [[nodiscard]] class String ToString() const;

 private:
  [[nodiscard]] bool is(napi_valuetype type) const {
    napi_valuetype actual = napi_undefined;
    return Env().ok(napi_typeof(env_, value_, &actual)) && actual == type;
  }

  napi_env env_ = nullptr;
  napi_value value_ = nullptr;
};

class Number : public Value {
 public:
  using Value::Value;
  static Number New(Napi::Env env, double number) {
    napi_value value = nullptr;
    env.ok(napi_create_double(env, number, &value));
    return {env, value};
  }
  [[nodiscard]] uint32_t Uint32Value() const { return get<uint32_t>(napi_get_value_uint32); }
  [[nodiscard]] int32_t Int32Value() const { return get<int32_t>(napi_get_value_int32); }
  [[nodiscard]] int64_t Int64Value() const { return get<int64_t>(napi_get_value_int64); }
  [[nodiscard]] double DoubleValue() const { return get<double>(napi_get_value_double); }

 private:
  template <class N>
  [[nodiscard]] N get(napi_status (*getter)(napi_env, napi_value, N*)) const {
    N number = 0;
    const napi_status status = getter(Env(), *this, &number);
    return status == napi_number_expected || Env().ok(status) ? number : N{0};
  }
};

class Boolean : public Value {
 public:
  using Value::Value;
  static Boolean New(Napi::Env env, bool boolean) {
    napi_value value = nullptr;
    env.ok(napi_get_boolean(env, boolean, &value));
    return {env, value};
  }
  operator bool() const {
    bool boolean = false;
    const napi_status status = napi_get_value_bool(Env(), *this, &boolean);
    return (status == napi_boolean_expected || Env().ok(status)) && boolean;
  }
};

class String : public Value {
 public:
  using Value::Value;
  static String New(Napi::Env env, const char* text) {
    napi_value value = nullptr;
    env.ok(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
    return {env, value};
  }
  static String New(Napi::Env env, const std::string& text) {
    napi_value value = nullptr;
    env.ok(napi_create_string_utf8(env, text.data(), text.size(), &value));
    return {env, value};
  }
  [[nodiscard]] std::string Utf8Value() const;
  operator std::string() const { return Utf8Value(); }
};

class Object : public Value {
 public:
  using Value::Value;
  static Object New(Napi::Env env) {
    napi_value value = nullptr;
    env.ok(napi_create_object(env, &value));
    return {env, value};
  }
  [[nodiscard]] Value Get(const char* name) const {
    napi_value value = nullptr;
    Env().ok(napi_get_named_property(Env(), *this, name, &value));
    return {Env(), value};
  }
  void Set(const char* name, const Value& value) const { Env().ok(napi_set_named_property(Env(), *this, name, value)); }
  void Set(const char* name, const char* text) const { Set(name, String::New(Env(), text)); }
  void Set(const char* name, const std::string& text) const { Set(name, String::New(Env(), text)); }
  void Set(const char* name, bool boolean) const { Set(name, Boolean::New(Env(), boolean)); }
  void Set(const char* name, int number) const { Set(name, Number::New(Env(), number)); }
  void Set(const char* name, uint32_t number) const { Set(name, Number::New(Env(), number)); }
};

class Array : public Object {
 public:
  using Object::Object;
  static Array New(Napi::Env env, size_t length) {
    napi_value value = nullptr;
    env.ok(napi_create_array_with_length(env, length, &value));
    return {env, value};
  }
  [[nodiscard]] uint32_t Length() const {
    uint32_t length = 0;
    Env().ok(napi_get_array_length(Env(), *this, &length));
    return length;
  }
  [[nodiscard]] Value Get(uint32_t index) const {
    napi_value value = nullptr;
    Env().ok(napi_get_element(Env(), *this, index, &value));
    return {Env(), value};
  }
  void Set(uint32_t index, const Value& value) const { Env().ok(napi_set_element(Env(), *this, index, value)); }
  void Set(uint32_t index, const char* text) const { Set(index, String::New(Env(), text)); }
};

// A typed array; it has no bytes if its memory was transferred.
template <class T, napi_typedarray_type kType>
class TypedArrayOf : public Object {
 public:
  TypedArrayOf() = default;
  TypedArrayOf(napi_env env, napi_value value) : Object(env, value) {
    napi_typedarray_type type = kType;
    void* data = nullptr;
    if (!Env().ok(napi_get_typedarray_info(env, value, &type, &length_, &data, nullptr, nullptr))) length_ = 0;
    data_ = static_cast<T*>(data);
  }
  // Returns an array without data if there is no memory for it.
  static TypedArrayOf New(Napi::Env env, size_t length) {
    napi_value buffer = nullptr;
    void* data = nullptr;
    if (!env.ok(napi_create_arraybuffer(env, length * sizeof(T), &data, &buffer))) return {};
    napi_value value = nullptr;
    if (!env.ok(napi_create_typedarray(env, kType, length, buffer, 0, &value))) return {};
    return {env, value};
  }
  [[nodiscard]] T* Data() const { return data_; }
  [[nodiscard]] size_t ElementLength() const { return length_; }
  [[nodiscard]] size_t ByteLength() const { return length_ * sizeof(T); }

 private:
  T* data_ = nullptr;
  size_t length_ = 0;
};
using Uint8Array = TypedArrayOf<uint8_t, napi_uint8_array>;
// Returns no bytes, and notes a failure, for lack of memory.
c1m::Bytes copy_of(const Uint8Array& bytes);
using Uint32Array = TypedArrayOf<uint32_t, napi_uint32_array>;
using Float64Array = TypedArrayOf<double, napi_float64_array>;

// Returns a Buffer with a copy of these bytes. A Buffer never has the core's own memory: runtimes may forbid that
// (napi_no_external_buffers_allowed), as those do whose V8 keeps all memory in a cage.
Value copy_buffer(Env env, const uint8_t* data, size_t length);

template <class T>
class External : public Value {
 public:
  using Value::Value;
  static External New(Napi::Env env, std::unique_ptr<T> owned) {
    napi_value value = nullptr;
    const auto end = [](napi_env, void* data, void*) { delete static_cast<T*>(data); };
    if (env.ok(napi_create_external(env, owned.get(), end, nullptr, &value))) (void)owned.release();
    return {env, value};
  }
  [[nodiscard]] T* Data() const {
    void* data = nullptr;
    Env().ok(napi_get_value_external(Env(), *this, &data));
    return static_cast<T*>(data);
  }
};

class Function : public Object {
 public:
  using Object::Object;
  using Callback = Value (*)(const CallbackInfo&);
  template <Callback kCallback>
  static Function New(Napi::Env env, const char* name);
};

// Keeps an object alive. Ends on the JS thread, before its environment does.
class Reference {
 public:
  Reference() = default;
  explicit Reference(const Value& value) : env_(value.Env()) {
    Napi::Env(env_).ok(napi_create_reference(env_, value, 1, &ref_));
  }
  Reference(Reference&& other) noexcept : env_(other.env_), ref_(std::exchange(other.ref_, nullptr)) {}
  Reference& operator=(Reference&& other) noexcept {
    std::swap(env_, other.env_);
    std::swap(ref_, other.ref_);
    return *this;
  }
  ~Reference() {
    if (ref_ != nullptr) napi_delete_reference(env_, ref_);
  }
  [[nodiscard]] Napi::Env Env() const { return env_; }

 protected:
  napi_env env_ = nullptr;
  napi_ref ref_ = nullptr;
};
using ObjectReference = Reference;

class FunctionReference : public Reference {
 public:
  using Reference::Reference;
  // Calls the function, and reports what it throws. If a value could not be built, the only argument is { errno:
  // ENOMEM, syscall }. Returns its result; empty if it did not return.
  Value Call(std::initializer_list<napi_value> arguments) const;
};

inline FunctionReference Persistent(const Function& function) { return FunctionReference(function); }
inline ObjectReference Persistent(const Object& object) { return ObjectReference(object); }

class HandleScope {
 public:
  explicit HandleScope(napi_env env) : env_(env) { (void)napi_open_handle_scope(env, &scope_); }
  HandleScope(const HandleScope&) = delete;
  HandleScope& operator=(const HandleScope&) = delete;
  ~HandleScope() {
    if (scope_ != nullptr) napi_close_handle_scope(env_, scope_);
  }

 private:
  napi_env env_;
  napi_handle_scope scope_ = nullptr;
};

// A scope in which nextTick callbacks and promises wait; they run at its end. If there is no memory for it, they run at
// the end of Node's next one.
class CallbackScope {
 public:
  CallbackScope(napi_env env, napi_async_context context) : env_(env) {
    if (context != nullptr) (void)napi_open_callback_scope(env, nullptr, context, &scope_);
  }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;
  ~CallbackScope() {
    if (scope_ != nullptr) napi_close_callback_scope(env_, scope_);
  }

 private:
  napi_env env_;
  napi_callback_scope scope_ = nullptr;
};

class CallbackInfo {
 public:
  CallbackInfo(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = kMaxArguments;
    env_.ok(napi_get_cb_info(env, info, &count, arguments_, &self_, nullptr));
  }
  [[nodiscard]] Napi::Env Env() const { return env_; }
  [[nodiscard]] napi_value This() const { return self_; }
  Value operator[](size_t at) const { return {env_, arguments_[at]}; }

 private:
  static constexpr size_t kMaxArguments = 8;  // missing arguments are undefined
  Napi::Env env_;
  napi_value self_ = nullptr;
  napi_value arguments_[kMaxArguments] = {};
};

// Runs a call by JavaScript: throws if a call in it failed, unless JavaScript is being terminated.
template <class Body>
napi_value called(napi_env raw, napi_callback_info raw_info, Body body) {
  const Env env(raw);
  const bool before = env.failed(true);
  const CallbackInfo info(raw, raw_info);
  const Value result = body(info);
  if (env.failed(true)) env.raise();
  env.note(before);
  return result;
}

// Defines a method of the object that JavaScript's `this` wraps.
template <class T, Value (T::*kMethod)(const CallbackInfo&)>
napi_property_descriptor instance_method(const char* name) {
  const auto call = [](napi_env raw, napi_callback_info raw_info) {
    return called(raw, raw_info, [](const CallbackInfo& info) -> Value {
      void* self = nullptr;
      if (!info.Env().ok(napi_unwrap(info.Env(), info.This(), &self))) return {};
      return (static_cast<T*>(self)->*kMethod)(info);
    });
  };
  return {name, nullptr, call, nullptr, nullptr, nullptr, napi_default, nullptr};
}

template <Function::Callback kCallback>
Function Function::New(Napi::Env env, const char* name) {
  napi_value value = nullptr;
  const auto call = [](napi_env raw, napi_callback_info info) { return called(raw, info, kCallback); };
  env.ok(napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &value));
  return {env, value};
}

inline Value Env::Undefined() const {
  napi_value value = nullptr;
  ok(napi_get_undefined(env_, &value));
  return {env_, value};
}
inline Number Value::ToNumber() const { return {env_, value_}; }
inline Boolean Value::ToBoolean() const { return {env_, value_}; }
inline String Value::ToString() const { return {env_, value_}; }

}  // namespace Napi
