#pragma once

#include <memory>
#include <vector>

#include "native/binding/broadcast_answer.h"
#include "native/binding/io_host.h"
#include "native/binding/napi.h"

namespace c1m {

// JavaScript's handle on one I/O thread (lib/native/binding-types.ts has its type). Checks nothing that lib/ has checked;
// its methods do nothing after close().
// Owner: JavaScript. Thread: the JS thread's.
class IoThread {
 public:
  static Napi::Value define(Napi::Env env);
  // Returns the handle of an object that JavaScript has made with this class.
  static const IoThread* Unwrap(const Napi::Object& object);
  // Makes a handle; it has no thread if that has failed, and an exception is thrown.
  explicit IoThread(const Napi::CallbackInfo& info);
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;
  ~IoThread();
  [[nodiscard]] std::shared_ptr<Inbox> inbox() const { return host_ == nullptr ? nullptr : host_->inbox(); }
  // The end at which descriptors of the I/O thread arrive; -1 if it shares this thread's file table.
  [[nodiscard]] int passage() const { return host_ == nullptr ? -1 : host_->passage(); }
  [[nodiscard]] TargetLists& target_lists() { return target_lists_; }

  Napi::Value add_command_batch(const Napi::CallbackInfo& info);
  Napi::Value publish(const Napi::CallbackInfo& info);
  Napi::Value pin(const Napi::CallbackInfo& info);
  // Adds a request of this kind to a batch; for JavaScript each kind is a method of its own.
  template <class Kind>
  Napi::Value request(const Napi::CallbackInfo& info);
  Napi::Value extend_broadcast(const Napi::CallbackInfo& info);
  Napi::Value reframe(const Napi::CallbackInfo& info);
  Napi::Value watch(const Napi::CallbackInfo& info);
  Napi::Value unwatch(const Napi::CallbackInfo& info);
  Napi::Value go_on(const Napi::CallbackInfo& info);
  Napi::Value set_owned_slab(const Napi::CallbackInfo& info);
  Napi::Value address(const Napi::CallbackInfo& info);
  Napi::Value cpu_micros(const Napi::CallbackInfo& info);
  Napi::Value loop_number(const Napi::CallbackInfo& info);
  Napi::Value set_ref(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

 private:
  static Napi::Value make(const Napi::CallbackInfo& info);
  Napi::Value submit(const Napi::CallbackInfo& info, std::unique_ptr<Request> request);
  EventBatch* add_event_batch(const Napi::Object& memory);
  [[nodiscard]] CommandBatch& command_batch(const Napi::CallbackInfo& info);
  void keep(const Napi::Value& value);

  Napi::Env env_;
  IoHost* host_ = nullptr;
  napi_ref wrapper_ = nullptr;  // the JavaScript object
  std::vector<std::unique_ptr<CommandBatch>> commands_;
  TargetLists target_lists_;
  std::vector<Napi::ObjectReference> kept_;   // memory that the I/O thread uses
  std::vector<Napi::ObjectReference> slabs_;  // memory of the event batches' owned slabs
};

}  // namespace c1m
