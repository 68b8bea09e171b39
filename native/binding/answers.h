#pragma once

#include "native/binding/connection_answer.h"
#include "native/binding/napi.h"
#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/socket/socket_requests.h"

namespace c1m {

// The loop's requests, made from JavaScript's arguments. They reply with a call of JavaScript's function with plain
// data, failures too: { errno, syscall, option } or { closed: true }; lib/ makes promises and errors of them.

class ListenAnswer final : public ListenRequest {
 public:
  // spec: a ListenSpec of lib/native/binding-types.ts.
  ListenAnswer(const Napi::Function& callback, const Napi::Object& spec);
  bool run(Loop& loop) override;
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

// (spec): a listening socket from which no thread accepts yet, opened synchronously: { fd, … } as in a ListenAnswer's
// reply, or the failure. The descriptor belongs to JavaScript.
Napi::Value open_listening_socket(const Napi::CallbackInfo& info);

class ConnectAnswer final : public ConnectRequest {
 public:
  // spec: { host, port, path, localAddress, localPort, mptcp, fastOpen, connectTimeoutMs, settings, congestion, connection }
  ConnectAnswer(const Napi::Function& callback, const Napi::Object& spec);
  bool run(Loop& loop) override;
  // Replies with nothing if the connection is open.
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

class CancelConnectAnswer final : public CancelConnectRequest {
 public:
  CancelConnectAnswer(const Napi::Function& callback, uint32_t of_context) : callback_(Napi::Persistent(callback)) {
    context = of_context;
  }
  void answer() override { callback_.Call({}); }

 private:
  Napi::FunctionReference callback_;
};

class FenceAnswer final : public FenceRequest {
 public:
  explicit FenceAnswer(const Napi::Function& callback) : callback_(Napi::Persistent(callback)) {}
  void answer() override { callback_.Call({}); }

 private:
  Napi::FunctionReference callback_;
};

class CloseListenerAnswer final : public CloseListenerRequest {
 public:
  CloseListenerAnswer(const Napi::Function& callback, uint32_t listener) : callback_(Napi::Persistent(callback)) {
    index = listener;
  }
  void answer() override { callback_.Call({Napi::Number::New(callback_.Env(), accepted)}); }

 private:
  Napi::FunctionReference callback_;
};

class OptionsAnswer final : public ConnectionAnswer<OptionsRequest> {
 public:
  OptionsAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation, const Napi::Value& settings,
                const Napi::Value& congestion);
  void answer() override;
};

class TcpInfoAnswer final : public ConnectionAnswer<TcpInfoRequest> {
 public:
  TcpInfoAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation)
      : ConnectionAnswer(callback, of_slot, of_generation) {}
  void answer() override;
};

ConnectionSettings to_connection_settings(const Napi::Object& from);

// Returns { errno, syscall }, and { option, unsupported } if an option failed.
Napi::Object failed(Napi::Env env, const OptionFailure& failure);
// Returns { closed: true }: the connection has closed.
Napi::Object closed_answer(Napi::Env env);

// Returns [host, port, family], where the address has them: family is 4, 6 or 0.
Napi::Array address_parts(Napi::Env env, const Address& address);

}  // namespace c1m
