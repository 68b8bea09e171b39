#pragma once

#include "native/binding/answer.h"
#include "native/binding/napi.h"
#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/socket/socket_requests.h"

namespace c1m {

// The loop's requests, made from JavaScript's arguments, which begin with (batch, callback). They reply with plain data,
// failures too: { errno, syscall, option } or { closed: true }; lib/ makes promises and errors of them.

// …, spec): a ListenSpec of lib/native/binding-types.ts.
class ListenAnswer final : public Answer<ListenRequest> {
 public:
  explicit ListenAnswer(const Napi::CallbackInfo& info);
  bool run(Loop& loop) override;
  void answer() override;
};

// (spec) only: a listening socket from which no thread accepts yet, opened synchronously: { fd, … } as in a ListenAnswer's
// reply, or the failure. The descriptor belongs to JavaScript.
Napi::Value open_listening_socket(const Napi::CallbackInfo& info);

// …, spec): { host, port, path, localAddress, localPort, mptcp, fastOpen, connectTimeoutMs, settings, congestion,
// connection }
class ConnectAnswer final : public Answer<ConnectRequest> {
 public:
  explicit ConnectAnswer(const Napi::CallbackInfo& info);
  bool run(Loop& loop) override;
  // Replies with nothing if the connection is open.
  void answer() override;
};

// …, context)
class CancelConnectAnswer final : public Answer<CancelConnectRequest> {
 public:
  explicit CancelConnectAnswer(const Napi::CallbackInfo& info) : Answer(info) { context = number(info, 2); }
  void answer() override { callback_.Call({}); }
};

// …)
class FenceAnswer final : public Answer<FenceRequest> {
 public:
  using Answer::Answer;
  void answer() override { callback_.Call({}); }
};

// …, listener)
class CloseListenerAnswer final : public Answer<CloseListenerRequest> {
 public:
  explicit CloseListenerAnswer(const Napi::CallbackInfo& info) : Answer(info) { index = number(info, 2); }
  void answer() override { callback_.Call({Napi::Number::New(callback_.Env(), accepted)}); }
};

// …, slot, generation, settings, congestion)
class OptionsAnswer final : public ConnectionAnswer<OptionsRequest> {
 public:
  explicit OptionsAnswer(const Napi::CallbackInfo& info);
  void answer() override;
};

// …, slot, generation)
class TcpInfoAnswer final : public ConnectionAnswer<TcpInfoRequest> {
 public:
  using ConnectionAnswer::ConnectionAnswer;
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
