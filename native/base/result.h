#pragma once

#include <cassert>
#include <cerrno>
#include <utility>
#include <variant>

namespace c1m {

// What a system call said no with: its errno and its name (a string literal).
struct Error {
  int code = 0;
  const char* syscall = "";

  [[nodiscard]] static Error last(const char* syscall) noexcept { return Error{errno, syscall}; }
  explicit operator bool() const noexcept { return code != 0; }
};

// A value, or the Error that stood in its way. The core has no exceptions; results carry failure out of it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() noexcept {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const Error& error() const noexcept {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(Error error) noexcept : error_(error) {}

  [[nodiscard]] bool ok() const noexcept { return error_.code == 0; }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const noexcept { return error_; }

 private:
  Error error_;
};

}  // namespace c1m
