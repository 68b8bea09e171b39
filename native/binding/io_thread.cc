#include "native/binding/io_thread.h"

#include <iterator>
#include <type_traits>
#include <utility>

#include "native/binding/answers.h"
#include "native/binding/framing_value.h"
#include "native/binding/handover_answer.h"
#include "native/binding/move_answer.h"
#include "native/binding/relay_answer.h"
#include "native/binding/send_file_answer.h"
#include "native/features/frames/reframe_request.h"

namespace c1m {

namespace {

ReadSlab slab_of(const Napi::Value& value) {
  auto bytes = value.As<Napi::Uint8Array>();
  return ReadSlab{.data = bytes.Data(), .size = static_cast<uint32_t>(bytes.ByteLength()), .used = 0};
}

template <Napi::Value (IoThread::*kMethod)(const Napi::CallbackInfo&)>
napi_property_descriptor InstanceMethod(const char* name) {
  return Napi::instance_method<IoThread, kMethod>(name);
}

}  // namespace

Napi::Value IoThread::define(Napi::Env env) {
  const napi_property_descriptor methods[] = {
      InstanceMethod<&IoThread::add_command_batch>("addCommandBatch"),
      InstanceMethod<&IoThread::publish>("publish"),
      InstanceMethod<&IoThread::pin>("pin"),
      InstanceMethod<&IoThread::request<ListenAnswer>>("listen"),
      InstanceMethod<&IoThread::request<CloseListenerAnswer>>("closeListener"),
      InstanceMethod<&IoThread::request<ConnectAnswer>>("connect"),
      InstanceMethod<&IoThread::request<CancelConnectAnswer>>("cancelConnect"),
      InstanceMethod<&IoThread::request<AdoptAnswer>>("adopt"),
      InstanceMethod<&IoThread::request<DetachAnswer>>("detach"),
      InstanceMethod<&IoThread::request<ReserveAnswer>>("reserve"),
      InstanceMethod<&IoThread::request<ReleaseAnswer>>("moveOut"),
      InstanceMethod<&IoThread::request<SettleAnswer>>("finishMove"),
      InstanceMethod<&IoThread::request<IdleAnswer>>("idle"),
      InstanceMethod<&IoThread::watch>("watch"),
      InstanceMethod<&IoThread::unwatch>("unwatch"),
      InstanceMethod<&IoThread::request<OptionsAnswer>>("options"),
      InstanceMethod<&IoThread::request<TcpInfoAnswer>>("tcpInfo"),
      InstanceMethod<&IoThread::request<PrepareRelayAnswer>>("prepareRelay"),
      InstanceMethod<&IoThread::request<RelayAnswer>>("relay"),
      InstanceMethod<&IoThread::request<BroadcastAnswer>>("broadcast"),
      InstanceMethod<&IoThread::extend_broadcast>("extendBroadcast"),
      InstanceMethod<&IoThread::request<FenceAnswer>>("fence"),
      InstanceMethod<&IoThread::go_on>("goOn"),
      InstanceMethod<&IoThread::request<SendFileAnswer>>("sendFile"),
      InstanceMethod<&IoThread::request<CancelFileAnswer>>("cancelFile"),
      InstanceMethod<&IoThread::reframe>("reframe"),
      InstanceMethod<&IoThread::set_owned_slab>("setOwnedSlab"),
      InstanceMethod<&IoThread::address>("address"),
      InstanceMethod<&IoThread::cpu_micros>("cpuMicros"),
      InstanceMethod<&IoThread::loop_number>("loopNumber"),
      InstanceMethod<&IoThread::set_ref>("setRef"),
      InstanceMethod<&IoThread::close>("close"),
  };
  const auto construct = [](napi_env raw, napi_callback_info info) { return Napi::called(raw, info, IoThread::make); };
  napi_value type = nullptr;
  env.ok(napi_define_class(env, "IoThread", NAPI_AUTO_LENGTH, construct, nullptr, std::size(methods), methods, &type));
  return {env, type};
}

Napi::Value IoThread::make(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto thread = std::make_unique<IoThread>(info);
  if (thread->host_ == nullptr) return {};
  const auto end = [](napi_env, void* data, void*) { delete static_cast<IoThread*>(data); };
  // This object lives as long as the thread runs, because it keeps the memory in which the thread works.
  const bool kept = env.ok(napi_wrap(env, info.This(), thread.get(), end, nullptr, &thread->wrapper_)) &&
                    env.ok(napi_reference_ref(env, thread->wrapper_, nullptr));
  // JavaScript gets an exception in place of the object.
  if (env.failed()) {
    std::exchange(thread->host_, nullptr)->close();
    if (kept) (void)napi_reference_unref(env, thread->wrapper_, nullptr);
    if (thread->wrapper_ == nullptr) return {};
  }
  (void)thread.release();
  return {env, info.This()};
}

const IoThread* IoThread::Unwrap(const Napi::Object& object) {
  void* thread = nullptr;
  object.Env().ok(napi_unwrap(object.Env(), object, &thread));
  return static_cast<const IoThread*>(thread);
}

IoThread::IoThread(const Napi::CallbackInfo& info) : env_(info.Env()) {
  const auto config = info[0].As<Napi::Object>();
  LoopOptions loop;
  loop.max_connections = config.Get("maxConnections").ToNumber().Uint32Value();
  loop.trigger = config.Get("level").ToBoolean() ? Trigger::kLevel : Trigger::kEdge;
  auto flushed = config.Get("flushed").As<Napi::Uint32Array>();
  auto stats = config.Get("stats").As<Napi::Float64Array>();
  auto connections = config.Get("connections").As<Napi::Uint32Array>();
  keep(connections);
  loop.connections = connections.Data();
  loop.own_file_table = config.Get("ownFileTable").ToBoolean();
  loop.shares_quota = config.Get("sharesQuota").ToBoolean();
  keep(flushed);
  keep(stats);
  loop.flushed = flushed.Data();
  loop.stats = stats.Data();
  const auto memory = config.Get("eventBatches").As<Napi::Array>();
  std::vector<EventBatch*> batches;
  for (uint32_t i = 0; i < memory.Length(); ++i) batches.push_back(add_event_batch(memory.Get(i).As<Napi::Object>()));
  IoHost::Callbacks callbacks{Napi::Persistent(config.Get("deliver").As<Napi::Function>()),
                              Napi::Persistent(config.Get("flush").As<Napi::Function>())};
  IoHost::Thread thread{config.Get("name").ToString(), config.Get("cpu").ToNumber().Int32Value()};
  const Napi::Env env = info.Env();
  if (env.failed()) {
    for (EventBatch* batch : batches) delete batch;
    return;
  }
  Result<IoHost*> host = IoHost::start(env, thread, loop, std::move(batches), std::move(callbacks));
  if (host) {
    host_ = host.value();
    return;
  }
  napi_value error = nullptr;
  if (!env.ok(napi_create_error(env, nullptr, Napi::String::New(env, host.error().syscall), &error))) return;
  const Napi::Object about(env, error);
  about.Set("errno", host.error().code);
  about.Set("syscall", host.error().syscall);
  if (!env.failed()) (void)napi_throw(env, error);
}

// At environment teardown the host's cleanup hook has stopped the thread before objects are destroyed.
IoThread::~IoThread() {
  if (wrapper_ != nullptr) napi_delete_reference(env_, wrapper_);
}

void IoThread::keep(const Napi::Value& value) { kept_.push_back(Napi::Persistent(value.As<Napi::Object>())); }

EventBatch* IoThread::add_event_batch(const Napi::Object& memory) {
  auto records = memory.Get("records").As<Napi::Uint32Array>();
  const auto owned = memory.Get("owned");
  const auto borrowed = memory.Get("borrowed");
  auto* batch = new EventBatch(records.Data());
  batch->slab(ReadMode::kOwned) = slab_of(owned);
  batch->slab(ReadMode::kBorrowed) = slab_of(borrowed);
  keep(records);
  keep(borrowed);
  slabs_.push_back(Napi::Persistent(owned.As<Napi::Object>()));
  return batch;
}

// (batch, slab): true if the slab is used, because the JS thread has the batch.
Napi::Value IoThread::set_owned_slab(const Napi::CallbackInfo& info) {
  if (host_ == nullptr) return info.Env().Undefined();
  const uint32_t index = number(info, 0);
  const ReadSlab slab = slab_of(info[1]);
  Napi::ObjectReference kept = Napi::Persistent(info[1].As<Napi::Object>());
  if (info.Env().failed() || index >= slabs_.size()) return {};
  const bool taken = host_->set_owned_slab(index, slab);
  if (taken) slabs_[index] = std::move(kept);
  return Napi::Boolean::New(info.Env(), taken);
}

// (records, arena): the new batch's index.
Napi::Value IoThread::add_command_batch(const Napi::CallbackInfo& info) {
  const auto records = info[0].As<Napi::Uint32Array>();
  const auto arena = info[1].As<Napi::Uint8Array>();
  if (info.Env().failed()) return {};
  keep(records);
  keep(arena);
  commands_.push_back(std::make_unique<CommandBatch>(
      records.Data(), static_cast<uint32_t>(records.ElementLength() / CommandBatch::kRecordWords), arena.Data(),
      static_cast<uint32_t>(arena.ByteLength())));
  return Napi::Number::New(info.Env(), static_cast<double>(commands_.size() - 1));
}

CommandBatch& IoThread::command_batch(const Napi::CallbackInfo& info) { return *commands_[number(info, 0)]; }

// (batch, count): the index of a batch to continue with, or -1 if all are in flight.
Napi::Value IoThread::publish(const Napi::CallbackInfo& info) {
  if (host_ == nullptr || info.Env().failed()) return info[0];
  CommandBatch& batch = command_batch(info);
  batch.count = number(info, 1);
  CommandBatch* spent = host_->take_spent();
  size_t index = 0;
  while (spent != nullptr && commands_[index].get() != spent) ++index;
  const auto next = Napi::Number::New(info.Env(), spent == nullptr ? -1 : static_cast<double>(index));
  // JavaScript must learn of a batch that it no longer has: nothing fails from here on.
  if (info.Env().failed()) {
    if (spent != nullptr) host_->keep_spent(spent);
    return {};
  }
  host_->publish(&batch);
  return next;
}

// (batch, bytes): the place among the batch's payloads, for the kWritePinned that names it.
Napi::Value IoThread::pin(const Napi::CallbackInfo& info) {
  const auto bytes = info[1].As<Napi::Uint8Array>();
  napi_ref owner = nullptr;
  if (!info.Env().ok(napi_create_reference(info.Env(), bytes, 1, &owner))) return {};
  auto& pinned = command_batch(info).pinned;
  pinned.push_back({bytes.Data(), static_cast<uint32_t>(bytes.ByteLength()), owner});
  return Napi::Number::New(info.Env(), static_cast<double>(pinned.size() - 1));
}

// Returns the request's place among those of the batch, for the kRequest that names it. A request with a failed
// argument is dropped.
Napi::Value IoThread::submit(const Napi::CallbackInfo& info, std::unique_ptr<Request> request) {
  if (info.Env().failed()) return {};
  auto& requests = command_batch(info).requests;
  requests.push_back(std::move(request));
  return Napi::Number::New(info.Env(), static_cast<double>(requests.size() - 1));
}

template <class Kind>
Napi::Value IoThread::request(const Napi::CallbackInfo& info) {
  if constexpr (std::is_constructible_v<Kind, const Napi::CallbackInfo&>) {
    return submit(info, std::make_unique<Kind>(info));
  } else {
    return submit(info, std::make_unique<Kind>(info, *this));
  }
}

// (fd, interest, number): nothing, or { errno, syscall }.
Napi::Value IoThread::watch(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (host_ == nullptr) return env.Undefined();
  const Result<void> added =
      host_->watch(static_cast<int>(number(info, 0)), static_cast<uint8_t>(number(info, 1)), number(info, 2));
  return added ? env.Undefined() : failed(env, OptionFailure{added.error(), {}});
}

// (fd)
Napi::Value IoThread::unwatch(const Napi::CallbackInfo& info) {
  if (host_ != nullptr) host_->unwatch(static_cast<int>(number(info, 0)));
  return info.Env().Undefined();
}

// (batch, bytes): more for the broadcast that is the batch's last command.
Napi::Value IoThread::extend_broadcast(const Napi::CallbackInfo& info) {
  auto& last = static_cast<BroadcastAnswer&>(*command_batch(info).requests.back());
  if (!last.append(info[1].As<Napi::Uint8Array>())) info.Env().note(true);
  return info.Env().Undefined();
}

// (): JavaScript had suspended delivery, and can be called for the rest of that batch.
Napi::Value IoThread::go_on(const Napi::CallbackInfo& info) {
  if (host_ != nullptr) host_->go_on();
  return info.Env().Undefined();
}

// (batch, slot, generation, framing, bytes, ended): a request as above, but without a reply.
Napi::Value IoThread::reframe(const Napi::CallbackInfo& info) {
  auto request = std::make_unique<ReframeRequest>();
  request->slot = number(info, 1);
  request->generation = number(info, 2);
  request->framing = to_framing(info[3]);
  request->bytes = to_framer(info[4].As<Napi::Uint8Array>());
  request->ended = info[5].ToBoolean();
  return submit(info, std::move(request));
}

// (slot, remote): the address of a connection that JavaScript may still know.
Napi::Value IoThread::address(const Napi::CallbackInfo& info) {
  if (host_ == nullptr) return info.Env().Undefined();
  const uint32_t slot = number(info, 0);
  const bool remote = info[1].ToBoolean();
  return address_parts(info.Env(), remote ? host_->peer_address(slot) : host_->local_address(slot));
}

Napi::Value IoThread::cpu_micros(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), host_ == nullptr ? 0 : host_->cpu_micros());
}

Napi::Value IoThread::loop_number(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), host_ == nullptr ? UINT32_MAX : host_->number());
}

Napi::Value IoThread::set_ref(const Napi::CallbackInfo& info) {
  if (host_ != nullptr) host_->set_ref(info[0].ToBoolean());
  return info.Env().Undefined();
}

Napi::Value IoThread::close(const Napi::CallbackInfo& info) {
  if (host_ != nullptr) {
    std::exchange(host_, nullptr)->close();
    info.Env().ok(napi_reference_unref(env_, wrapper_, nullptr));
  }
  return info.Env().Undefined();
}

}  // namespace c1m
