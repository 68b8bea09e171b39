#include "native/binding/handover_answer.h"

#include "native/binding/answers.h"
#include "native/binding/framing_value.h"
#include "native/binding/io_thread.h"
#include "native/net/descriptor.h"

namespace c1m {

Napi::Value take_socket(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const auto refuse = [env](const Error& error) { return failed(env, OptionFailure{error, {}}); };
  const Result<Address> peer = connected_peer(fd);
  if (!peer) return refuse(peer.error());
  const Result<void> made = make_our_own(fd);
  if (!made) return refuse(made.error());
  if (!info[1].ToBoolean()) {
    env.note_loose(fd);
    return info[0];
  }
  Result<Fd> copy = duplicate(fd);
  if (!copy) return refuse(copy.error());
  // A descriptor that goes to another thread immediately isn't noted: the code that has its number closes it.
  if (!info[2].ToBoolean()) env.note_loose(copy.value().get());
  return Napi::Number::New(env, env.failed() ? -1 : copy.value().release());
}

Napi::Value set_descriptor_limit(const Napi::CallbackInfo& info) {
  const Result<void> set = limit_descriptors(info[0].As<Napi::Number>().Uint32Value());
  return set ? info.Env().Undefined() : failed(info.Env(), OptionFailure{set.error(), {}});
}

AdoptAnswer::AdoptAnswer(const Napi::CallbackInfo& info) : Answer(info) {
  const auto spec = info[2].As<Napi::Object>();
  const int given = spec.Get("fd").ToNumber().Int32Value();
  connection = to_connection_settings(spec.Get("connection").As<Napi::Object>());
  unread = to_framer(spec.Get("unread").As<Napi::Uint8Array>());
  // The descriptor stays the caller's in this case.
  if (spec.Env().failed()) return;
  fd = Fd(given);
  spec.Env().forget_loose(given);
  // A peer that has just reset the connection has no address any more; the loop will see the reset.
  Result<Address> from = Address::peer_of(fd.get());
  if (!from) from = Address::local_of(fd.get());
  if (from) peer = PackedAddress::from(from.value().get(), from.value().length());
}

void AdoptAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (error) {
    callback_.Call({failed(env, OptionFailure{error, {}})});
  } else if (full) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("full", true);
    callback_.Call({result});
  } else {
    callback_.Call({Napi::Number::New(env, slot)});
  }
}

DetachAnswer::DetachAnswer(const Napi::CallbackInfo& info, const IoThread& thread)
    : ConnectionAnswer(info), passage_(thread.passage()) {}

void DetachAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (closed) {
    callback_.Call({closed_answer(env)});
    return;
  }
  if (error) {
    callback_.Call({failed(env, OptionFailure{error, {}})});
    return;
  }
  if (passage_ >= 0) {
    Result<Fd> received = receive_descriptor(passage_);
    if (!received) {
      callback_.Call({failed(env, OptionFailure{received.error(), {}})});
      return;
    }
    detached.fd = std::move(received.value());
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("unread", to_buffer(env, detached.unread.get()));
  result.Set("unsent", Napi::copy_buffer(env, detached.unsent.data(), detached.unsent.size()));
  result.Set("fd", detached.fd.get());
  // The environment owns the descriptor until there is a Socket that has it.
  env.note_loose(detached.fd.get());
  if (!env.failed()) (void)detached.fd.release();
  callback_.Call({result});
}

}  // namespace c1m
