#include "native/binding/io_host.h"

#include <signal.h>
#include <time.h>

#include <semaphore>
#include <utility>

#include "native/binding/framing_value.h"
#include "native/exchange/inbox_registry.h"

namespace c1m {

namespace {

// The start data of a thread; it lives until `begun`.
struct Start {
  Loop& loop;
  int passage;  // -1 to share this thread's file table
  int bell;
  Result<void> result;
  std::binary_semaphore begun{0};
};

void* run_loop(void* argument) {
  auto& start = *static_cast<Start*>(argument);
  Loop& loop = start.loop;
  if (start.passage >= 0) start.result = loop.own_file_table(start.passage, start.bell);
  const bool ready = start.result.ok();
  start.begun.release();
  if (ready) loop.run();
  return nullptr;
}

// Starts the thread with all signals blocked: they belong to Node's main thread.
int create_thread(pthread_t* thread, int cpu, Start* start) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
  }
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(thread, &attributes, run_loop, start);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace

IoHost::IoHost(Napi::Env env, std::vector<EventBatch*> batches, Callbacks callbacks)
    : env_(env), callbacks_(std::move(callbacks)), batches_(std::move(batches)) {
  env_.ok(napi_async_init(env, nullptr, Napi::String::New(env, "c1m"), &context_));
}

IoHost::~IoHost() {
  for (EventBatch* batch : batches_) delete batch;
  if (context_ != nullptr) napi_async_destroy(env_, context_);
}

Result<IoHost*> IoHost::start(Napi::Env env, const Thread& thread, const LoopOptions& options,
                              std::vector<EventBatch*> batches, Callbacks callbacks) {
  auto* host = new IoHost(env, std::move(batches), std::move(callbacks));
  const JsWaker waker{[](void* context) { static_cast<IoHost*>(context)->wake_js(); }, host};
  Result<std::unique_ptr<Loop>> loop = Loop::create(options, host->mailbox_, waker);
  if (!loop) {
    delete host;
    return loop.error();
  }
  host->loop_ = std::move(loop.value());
  uv_loop_t* event_loop = nullptr;
  host->async_.data = host;
  const int failed = !env.ok(napi_get_uv_event_loop(env, &event_loop))
                         ? UV_ENOMEM
                         : uv_async_init(event_loop, &host->async_,
                                         [](uv_async_t* async) { static_cast<IoHost*>(async->data)->deliver(); });
  if (failed != 0) {
    delete host;
    return Error{-failed, "uv_async_init"};
  }
  uv_unref(reinterpret_cast<uv_handle_t*>(&host->async_));
  for (EventBatch* batch : host->batches_) host->mailbox_.returned.push(batch);
  Error error = options.own_file_table ? host->open_file_table(event_loop) : Error{};
  if (!error) error = host->start_thread(thread.cpu);
  if (!error) host->number_ = inbox_registry::add(host->inbox());
  if (!error) pthread_setname_np(host->thread_, thread.name.substr(0, 15).c_str());
  const auto close = [](napi_async_cleanup_hook_handle, void* data) { static_cast<IoHost*>(data)->close(); };
  // The environment's end waits only for a host with this hook.
  if (!env.ok(napi_add_async_cleanup_hook(env, close, host, &host->hook_)) && !error) error = {ENOMEM, "malloc"};
  if (!error) return host;
  host->close();
  return error;
}

Error IoHost::open_file_table(uv_loop_t* event_loop) {
  Result<Passage> passage = Passage::open();
  if (!passage) return passage.error();
  passage_ = std::move(passage.value());
  Result<Waker> bell = Waker::create();
  if (!bell) return bell.error();
  const int failed = uv_poll_init(event_loop, &on_bell_, bell.value().descriptor());
  if (failed != 0) return Error{-failed, "uv_poll_init"};
  bell_ = std::move(bell.value());
  on_bell_.data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(&on_bell_));
  const int refused = uv_poll_start(&on_bell_, UV_READABLE, [](uv_poll_t* bell_rang, int, int) {
    auto* host = static_cast<IoHost*>(bell_rang->data);
    host->bell_.clear();
    host->deliver();
  });
  return refused == 0 ? Error{} : Error{-refused, "uv_poll_start"};
}

// Runs on the I/O thread.
void IoHost::wake_js() {
  if (bell_.valid()) {
    bell_.wake();
  } else {
    uv_async_send(&async_);
  }
}

Error IoHost::start_thread(int cpu) {
  Start start{*loop_, passage_.inner.get(), bell_.descriptor(), {}};
  const int refused = create_thread(&thread_, cpu, &start);
  if (refused != 0) return Error{refused, "pthread_create"};
  start.begun.acquire();
  running_ = start.result.ok();
  if (running_) return {};
  pthread_join(thread_, nullptr);
  return start.result.error();
}

void IoHost::stop_thread() {
  if (!std::exchange(running_, false)) return;
  inbox_registry::remove(number_);
  mailbox_.request_stop();
  loop_->poller().wake();
  pthread_join(thread_, nullptr);
}

void IoHost::close() {
  stop_thread();
  if (std::exchange(closing_, true)) return;
  const auto close_async = [](uv_handle_t* bell) { static_cast<IoHost*>(bell->data)->close_async(); };
  if (bell_.valid()) {
    uv_close(reinterpret_cast<uv_handle_t*>(&on_bell_), close_async);
  } else {
    this->close_async();
  }
}

void IoHost::close_async() {
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), [](uv_handle_t* handle) {
    auto* host = static_cast<IoHost*>(handle->data);
    host->ended_ = true;
    if (!host->delivering_) host->end();
  });
}

void IoHost::end() {
  // The hook is removed last: until the handle is closed, the environment must not be torn down before this host. Its
  // references end with it.
  const napi_async_cleanup_hook_handle hook = hook_;
  {
    const Napi::HandleScope scope(env_);
    delete this;
  }
  napi_remove_async_cleanup_hook(hook);
}

void IoHost::set_ref(bool ref) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&async_);
  if (ref) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void IoHost::publish(CommandBatch* batch) {
  loop_->publish_commands(batch);
  if (mailbox_.must_wake_io(true)) loop_->poller().wake();
}

CommandBatch* IoHost::take_spent() {
  // The latest batches come first: their memory is warm, and those of a burst stay cold.
  if (CommandBatch* latest = mailbox_.spent.take(); latest != nullptr) {
    CommandBatch* last = latest;
    while (last->next != nullptr) last = last->next;
    last->next = spent_;
    spent_ = latest;
  }
  CommandBatch* batch = spent_;
  if (batch != nullptr) {
    spent_ = batch->next;
    batch->requests.clear();
  }
  return batch;
}

void IoHost::keep_spent(CommandBatch* batch) {
  batch->next = spent_;
  spent_ = batch;
}

// Delivers one batch a call, so that Node's other work gets its turn between two batches. A handler may run libuv's
// loop, as native code can: the next events wait for its end, so that it has its own events first.
void IoHost::deliver() {
  if (closing_ || delivering_) return;
  const Napi::HandleScope scope(env_);
  // The environment is being terminated: no handler can run, and the cleanup hook comes next.
  if (!env_.runs()) return;
  delivering_ = true;
  answer();
  if (!closing_) deliver_next();
  delivering_ = false;
  if (closing_) {  // a handler has shut the reactor down
    if (ended_) end();
    return;
  }
  if ((pending_ != nullptr && (!suspended_ || std::exchange(again_, false))) || !mailbox_.js_may_sleep(suspended_))
    uv_async_send(&async_);
}

// Delivers replies that have no order with events.
void IoHost::answer() {
  Request* request = mailbox_.answers.take();
  if (request == nullptr) return;
  {
    const Napi::CallbackScope callbacks(env_, context_);
    while (request != nullptr) {
      const Napi::HandleScope its(env_);
      const std::unique_ptr<Request> one(std::exchange(request, request->next));
      one->answer();
      env_.note(false);
    }
  }
  if (!closing_) callbacks_.flush.Call({});
}

void IoHost::deliver_next() {
  if (pending_ == nullptr) pending_ = mailbox_.events.take();
  EventBatch* batch = pending_;
  if (batch == nullptr) return;
  current_ = batch;
  suspended_ = !deliver_batch(batch);
  current_ = nullptr;
  if (closing_) return;
  if (!suspended_) {
    pending_ = batch->next;
    give_back(batch);
  }
  callbacks_.flush.Call({});
  if (mailbox_.must_wake_io(false)) loop_->poller().wake();
}

// Returns a batch to the loop. One that has no room left is returned when it has: the loop would find it full, and hand
// it over again and again.
void IoHost::give_back(EventBatch* batch) {
  if (batch->slab(ReadMode::kOwned).room() < EventBatch::kMinRead) {
    slabless_.push_back(batch);
  } else {
    mailbox_.returned.push(batch);
  }
}

bool IoHost::set_owned_slab(uint32_t index, const ReadSlab& slab) {
  EventBatch* batch = batches_[index];
  const bool waited = std::erase(slabless_, batch) > 0;
  if (!waited && batch != current_) return false;
  batch->slab(ReadMode::kOwned) = slab;
  if (!waited) return true;
  give_back(batch);
  if (mailbox_.must_wake_io(false)) loop_->poller().wake();
  return true;
}

// Returns false if JavaScript suspends delivery within the batch.
bool IoHost::deliver_batch(EventBatch* batch) {
  for (void* owner : batch->released) napi_delete_reference(env_, static_cast<napi_ref>(owner));
  batch->released.clear();
  const std::vector<std::unique_ptr<Request>> completed = std::move(batch->completed);
  batch->completed.clear();
  // nextTick callbacks and promises run when this scope closes: before the commands are published.
  const Napi::CallbackScope callbacks(env_, context_);
  // Replies come first: a listener must know its address before its first connection opens.
  for (const auto& request : completed) {
    request->answer();
    env_.note(false);
  }
  const bool wants_slab = batch->slab(ReadMode::kOwned).room() < EventBatch::kSlabLow;
  if (batch->count() == 0 && !wants_slab) return true;
  uint32_t index = 0;
  while (batches_[index] != batch) ++index;
  const auto which = Napi::Number::New(env_, index);
  const auto count = Napi::Number::New(env_, batch->count());
  if (env_.failed(true)) {
    // Nothing of the batch has been delivered: that happens in the next turn of Node's loop.
    env_.forget();
    again_ = true;
    return false;
  }
  // The frames of a batch that is delivered in parts came with the first part.
  const Napi::Value frames = to_buffers(env_, batch->frames);
  const Napi::Value whole = callbacks_.deliver.Call({which, count, Napi::Boolean::New(env_, wants_slab), frames});
  return whole == nullptr || !whole.IsBoolean() || whole.ToBoolean();
}

Address IoHost::local_address(uint32_t slot) { return loop_->table().local_address(slot); }

Address IoHost::peer_address(uint32_t slot) { return loop_->table().slots[slot].peer.unpack(); }

double IoHost::cpu_micros() const {
  clockid_t clock = 0;
  timespec time{};
  if (!running_ || pthread_getcpuclockid(thread_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

}  // namespace c1m
