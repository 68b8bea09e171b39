#include "native/binding/answers.h"

#include <netinet/in.h>

#include <cstring>

#include "native/binding/framing_value.h"
#include "native/binding/io_thread.h"
#include "native/net/descriptor.h"

namespace c1m {

namespace {

std::vector<OptionSetting> to_settings(const Napi::Value& value) {
  std::vector<OptionSetting> settings;
  if (!value.IsArray()) return settings;
  const auto pairs = value.As<Napi::Array>();
  for (uint32_t i = 0; i + 1 < pairs.Length(); i += 2) {
    const uint32_t id = pairs.Get(i).ToNumber().Uint32Value();
    if (id >= kIntOptionCount) continue;
    settings.push_back({static_cast<Option>(id), pairs.Get(i + 1).ToNumber().Int32Value()});
  }
  return settings;
}

// Makes an address of { host, port } or { path }.
Result<Address> to_address(const Napi::Object& from) {
  const Napi::Value path = from.Get("path");
  if (path.IsString()) return Address::unix_path(path.As<Napi::String>().Utf8Value());
  const auto port = static_cast<uint16_t>(from.Get("port").ToNumber().Uint32Value());
  return Address::ip(from.Get("host").ToString().Utf8Value().c_str(), port);
}

std::string to_string(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

std::vector<uint32_t> to_numbers(const Napi::Value& value) {
  std::vector<uint32_t> numbers;
  if (!value.IsArray()) return numbers;
  const auto list = value.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) numbers.push_back(list.Get(i).ToNumber().Uint32Value());
  return numbers;
}

// Sets the placement and its threads from { placement, threads }, or nothing.
Result<void> set_spread(ListenRequest& request, const Napi::Value& value) {
  if (!value.IsObject()) return {};
  const auto from = value.As<Napi::Object>();
  const auto threads = from.Get("threads").As<Napi::Array>();
  std::vector<std::shared_ptr<Inbox>> loops;
  for (uint32_t i = 0; i < threads.Length(); ++i) {
    const IoThread* thread = IoThread::Unwrap(threads.Get(i).As<Napi::Object>());
    auto inbox = thread == nullptr ? nullptr : thread->inbox();
    if (inbox == nullptr) continue;
    loops.push_back(std::move(inbox));
    if (thread->passage() < 0) continue;
    Result<Fd> passage = duplicate(thread->passage());
    if (!passage) return passage.error();
    request.passages.push_back(std::move(passage.value()));
  }
  request.spread = {static_cast<Placement>(from.Get("placement").ToNumber().Uint32Value()), std::move(loops)};
  return {};
}

// Converts a ListenSpec of lib/native/binding-types.ts; an address that can't be converted is an error.
Result<ListenSpec> to_listen_spec(const Napi::Object& from) {
  ListenSpec spec;
  spec.backlog = from.Get("backlog").ToNumber().Int32Value();
  spec.reuse_port = from.Get("reusePort").ToBoolean();
  spec.ipv6_only = from.Get("ipv6Only").ToBoolean();
  spec.mptcp = from.Get("mptcp").ToBoolean();
  spec.options = to_settings(from.Get("settings"));
  spec.congestion = to_string(from.Get("congestion"));
  spec.reuse_port_once_bound = from.Get("reusePortOnceBound").ToBoolean();
  spec.steer_by_cpu = to_numbers(from.Get("steerByCpu"));
  const Napi::Value fd = from.Get("fd");
  if (fd.IsNumber()) {
    spec.fd = fd.ToNumber().Int32Value();
    return spec;
  }
  Result<Address> address = to_address(from);
  if (!address) return address.error();
  spec.address = address.value();
  return spec;
}

void set_applied(Napi::Object& result, const AppliedOptions& applied) {
  const Napi::Env env = result.Env();
  Napi::Array pairs = Napi::Array::New(env, applied.settings.size() * 2);
  uint32_t at = 0;
  for (const OptionSetting& setting : applied.settings) {
    pairs.Set(at++, Napi::Number::New(env, static_cast<double>(setting.option)));
    pairs.Set(at++, Napi::Number::New(env, setting.value));
  }
  result.Set("settings", pairs);
  if (!applied.congestion.empty()) result.Set("congestion", applied.congestion);
}

void call(const Napi::FunctionReference& callback, const Napi::Object& result) { callback.Call({result}); }

}  // namespace

ConnectionSettings to_connection_settings(const Napi::Object& from) {
  ConnectionSettings settings;
  settings.context = from.Get("context").ToNumber().Uint32Value();
  settings.borrowed = from.Get("borrowed").ToBoolean();
  settings.paused = from.Get("paused").ToBoolean();
  settings.idle_timeout_ms = from.Get("idleTimeoutMs").ToNumber().Uint32Value();
  settings.read_timeout_ms = from.Get("readTimeoutMs").ToNumber().Uint32Value();
  settings.write_timeout_ms = from.Get("writeTimeoutMs").ToNumber().Uint32Value();
  settings.total_timeout_ms = from.Get("totalTimeoutMs").ToNumber().Uint32Value();
  settings.framing = to_framing(from.Get("framing"));
  return settings;
}

Napi::Object failed(Napi::Env env, const OptionFailure& failure) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("errno", failure.error.code);
  result.Set("syscall", failure.error.syscall);
  if (failure.option) {
    result.Set("option", option_name(*failure.option));
    result.Set("unsupported", is_unsupported(failure.error));
  }
  return result;
}

Napi::Object closed_answer(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("closed", true);
  return result;
}

Napi::Array address_parts(Napi::Env env, const Address& address) {
  Napi::Array parts = Napi::Array::New(env, 3);
  const int family = address.family() == AF_INET ? 4 : address.family() == AF_INET6 ? 6 : 0;
  parts.Set(0u, Napi::String::New(env, address.host()));
  parts.Set(1u, Napi::Number::New(env, address.port()));
  parts.Set(2u, Napi::Number::New(env, family));
  return parts;
}

ListenAnswer::ListenAnswer(const Napi::CallbackInfo& info) : Answer(info) {
  const auto from = info[2].As<Napi::Object>();
  connections = to_connection_settings(from.Get("connections").As<Napi::Object>());
  accepts = from.Get("accepts").ToBoolean();
  const Result<void> spreads = set_spread(*this, from.Get("spread"));
  Result<ListenSpec> given = to_listen_spec(from);
  if (!spreads) {
    failure.error = spreads.error();
  } else if (given) {
    spec = std::move(given.value());
  } else {
    failure.error = given.error();
  }
}

bool ListenAnswer::run(Loop& loop) {
  // A request whose address could not be converted has failed already.
  return failure ? true : ListenRequest::run(loop);
}

namespace {

Napi::Object bound_answer(Napi::Env env, const Address& bound, const AppliedOptions& applied) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("address", address_parts(env, bound));
  set_applied(result, applied);
  return result;
}

}  // namespace

void ListenAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (failure) return call(callback_, failed(env, failure));
  call(callback_, bound_answer(env, bound, applied));
}

Napi::Value open_listening_socket(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Result<ListenSpec> given = to_listen_spec(info[0].As<Napi::Object>());
  if (!given) return failed(env, OptionFailure{given.error(), {}});
  ListenOutcome outcome = open_listener(given.value());
  if (!outcome.ok()) return failed(env, outcome.failure);
  const int fd = outcome.fd.get();
  Result<Address> local = Address::local_of(fd);
  if (!local) return failed(env, OptionFailure{local.error(), {}});
  Napi::Object result = bound_answer(env, local.value(), AppliedOptions::of(fd));
  result.Set("fd", fd);
  env.note_loose(fd);
  if (!env.failed()) (void)outcome.fd.release();
  return result;
}

ConnectAnswer::ConnectAnswer(const Napi::CallbackInfo& info) : Answer(info) {
  const auto from = info[2].As<Napi::Object>();
  connection = to_connection_settings(from.Get("connection").As<Napi::Object>());
  connect_timeout_ms = from.Get("connectTimeoutMs").ToNumber().Uint32Value();
  spec.mptcp = from.Get("mptcp").ToBoolean();
  spec.fast_open = from.Get("fastOpen").ToBoolean();
  spec.options = to_settings(from.Get("settings"));
  spec.congestion = to_string(from.Get("congestion"));
  Result<Address> address = to_address(from);
  const Napi::Value local = from.Get("localAddress");
  Result<Address> source =
      local.IsString()
          ? Address::ip(to_string(local).c_str(), static_cast<uint16_t>(from.Get("localPort").ToNumber().Uint32Value()))
          : Result<Address>(Address());
  if (!address || !source) {
    failure.error = address ? source.error() : address.error();
    return;
  }
  spec.address = address.value();
  if (local.IsString()) spec.local = source.value();
}

bool ConnectAnswer::run(Loop& loop) { return failure ? true : ConnectRequest::run(loop); }

void ConnectAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (failure) return call(callback_, failed(env, failure));
  // The connection's events follow, so that reporting it must not fail.
  if (!full) {
    callback_.Call({env.Undefined()});
    return;
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("full", true);
  callback_.Call({result});
}

OptionsAnswer::OptionsAnswer(const Napi::CallbackInfo& info) : ConnectionAnswer(info) {
  settings = to_settings(info[4]);
  congestion = to_string(info[5]);
}

void OptionsAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (closed) return call(callback_, closed_answer(env));
  if (failure) return call(callback_, failed(env, failure));
  Napi::Object result = Napi::Object::New(env);
  set_applied(result, applied);
  call(callback_, result);
}

void TcpInfoAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (closed) return call(callback_, closed_answer(env));
  if (error) {
    Napi::Object result = failed(env, OptionFailure{error, {}});
    result.Set("option", "tcpInfo");
    result.Set("unsupported", is_unsupported(error));
    return call(callback_, result);
  }
  Napi::Object result = Napi::Object::New(env);
  auto values = Napi::Float64Array::New(env, kTcpInfoFieldCount);
  if (values.Data() != nullptr) std::memcpy(values.Data(), &info, sizeof info);
  result.Set("values", values);
  call(callback_, result);
}

}  // namespace c1m
