#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "native/base/result.h"
#include "native/exchange/inbox.h"
#include "native/exchange/mailbox.h"
#include "native/exchange/quota.h"
#include "native/exchange/stats.h"
#include "native/features/accept/acceptor.h"
#include "native/features/connect/connector.h"
#include "native/features/files/file_workers.h"
#include "native/features/groups/broadcast_request.h"
#include "native/features/handover/handover.h"
#include "native/features/handover/migration.h"
#include "native/features/relay/relays.h"
#include "native/features/watch/watcher.h"
#include "native/poll/poller.h"
#include "native/table/entry.h"
#include "native/table/file_table.h"
#include "native/table/framing_table.h"
#include "native/table/local_addresses.h"

namespace c1m {

// How the loop wakes the JS thread. Called on the I/O thread.
struct JsWaker {
  void (*wake)(void* context) = nullptr;
  void* context = nullptr;
};

struct LoopOptions {
  uint32_t max_connections = 1;
  // Of all loops that have this counter in common; the memory outlives them.
  uint32_t* connections = nullptr;
  bool shares_quota = false;  // there are others
  Trigger trigger = Trigger::kEdge;
  uint32_t file_threads = FileWorkers::kThreads;
  bool own_file_table = false;  // own_file_table() is called before run()
  // Shared with JavaScript, which only reads them: bytes given to the kernel, a counter a slot (modulo 2^32), and the
  // counters of Stats.
  uint32_t* flushed = nullptr;
  double* stats = nullptr;
};

// The loop of one I/O thread: wait → accept, read, flush → events.
//
// A turn: take readiness from the kernel into bits; take back batches and free what they held; carry out commands;
// write; accept; read and tell; fire timers; publish. Writing comes before reading, so that answers leave before new
// questions come in, and a connection's last bytes before its end.
//
// Memory is bounded under a JS thread that is blocked: without a batch to fill there is no reading and no telling, while
// writing and accepting go on. What is to be told waits as a bit in its slot, never in a queue.
// Owner: the binding, or a test. Thread: its own, from run() to its return; only `mailbox`,
// `publish_commands()` and `poller().wake()` may be used from another.
class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create(const LoopOptions& options, Mailbox& mailbox, JsWaker waker);
  Loop(Poller poller, const LoopOptions& options, Mailbox& mailbox, JsWaker waker);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { inbox_->close(); }

  // On the loop's thread, before run(): see FileTable. `passage` is the inner end of its passage, `waker` what its waker
  // writes to; -1 if it needs none.
  Result<void> own_file_table(int passage, int waker);
  // Runs turns until the mailbox requests a stop; then closes everything.
  void run();
  // One turn; sleeps if there is nothing to do. For tests.
  void turn();

  // A place for a connection, in the quota and in what the inbox says of this loop's load; release() gives it back.
  void claim() {
    quota_.take();
    inbox_->add_load(1);
  }
  // False at the maximum.
  [[nodiscard]] bool try_claim() {
    if (!quota_.try_take()) return false;
    inbox_->add_load(1);
    return true;
  }
  void unclaim() {
    quota_.give_back();
    inbox_->add_load(-1);
  }
  // A fresh connection of a listener, for which a place has been claimed: it goes back if the connection can't be taken.
  // 0, or the errno of why.
  int admit(Fd fd, const PackedAddress& peer, const Listening& listening);
  // A slot for a socket, registered with the poller; nothing is told of it before open(). The place as above.
  [[nodiscard]] Result<uint32_t> take(Fd fd, const PackedAddress& peer);
  // Tells JavaScript of the connection.
  void open(uint32_t slot, const ConnectionSettings& settings);
  // Gives back a slot that was not opened.
  void drop(uint32_t slot);
  // In milliseconds, 0 for none; starts it anew.
  void set_timeout(uint32_t slot, TimeoutKind kind, uint32_t ms);
  // Begins to queue it for its targets.
  void broadcast(BroadcastRequest& request);
  // Sends a file behind what is queued already; its owner is a SendFileRequest that waits. False if that would be more than the
  // limit allows, or than there is memory for: the connection is closed.
  [[nodiscard]] bool queue_file(uint32_t slot, Entry& entry, OutboundFile& file, size_t limit);
  void cancel_file(uint32_t slot, Entry& entry, uint32_t id);
  // The end of a kReframe: these bytes, which JavaScript has given back, come first and are cut anew. `ended`: it was told
  // of the peer's FIN after them, and is to be told again.
  void reframe(uint32_t slot, Entry& entry, const Framing* framing, std::unique_ptr<Framer> bytes, bool ended);
  // Bytes that were read from the socket before it came here: they are delivered before anything else.
  void read_first(uint32_t slot, std::unique_ptr<Framer> bytes);
  // What was received and is not delivered, null for nothing: whoever takes the connection over reads it first.
  [[nodiscard]] std::unique_ptr<Framer> take_unread(Entry& entry);
  // Takes the connection out: to JavaScript it closes, in order behind all that it has been told; to its peer it doesn't.
  // After an error it is here as before.
  [[nodiscard]] Result<Detached> detach(uint32_t slot, Entry& entry);
  // A slot for a connection that is on its way here. False if there is none.
  [[nodiscard]] bool reserve(ReserveRequest& request);
  // Where what is said to this connection waits, if it is on its way here; null if not.
  [[nodiscard]] Expected* deferring(uint32_t slot, uint32_t generation);
  // It is here, or won't come.
  void settle_move(SettleRequest& request);
  // When those before it have gone. True if it is done.
  [[nodiscard]] bool depart(DepartRequest& request);
  // Its connection goes to another loop, unless it has closed. False if the passage is full.
  [[nodiscard]] bool let_go(ReleaseRequest& request);
  // A request that did not finish in run() has its answer.
  void complete(Request* request);
  // Appends an event, if there is a batch with room for it.
  [[nodiscard]] bool emit(Event event, uint32_t argument, uint32_t slot, uint32_t a, uint32_t b);
  // The connection of this identity, unless it is closing or gone.
  [[nodiscard]] Entry* find(uint32_t slot, uint32_t generation);

  // For what works on connections besides the loop itself: serves the slot in the next flush_all(); notes that bytes
  // moved; sends a FIN; tells a level-triggered poller what is not known; closes.
  void schedule(uint32_t slot);
  [[nodiscard]] bool send_fin(uint32_t slot, Entry& entry);
  void touch(Entry& entry) { entry.last_active = now_tick_; }
  void settle(uint32_t slot, Entry& entry);
  void close(uint32_t slot, Entry& entry, int error, Syscall syscall);
  void close_broken(uint32_t slot, Entry& entry);
  // There is no memory for what it has received, or is to send.
  void close_for_memory(uint32_t slot, Entry& entry, Syscall syscall);
  // Before it closes: close(2) is not to wait for its peer.
  void dont_linger(Entry& entry);
  // Before it closes: with part of a stream that was ended its peer gets a RST in place of the FIN.
  void cut(Entry& entry);

  [[nodiscard]] uint32_t live() const { return entries_.live(); }
  [[nodiscard]] Quota& quota() { return quota_; }
  [[nodiscard]] const Quota& quota() const { return quota_; }
  [[nodiscard]] bool shares_quota() const { return shares_quota_; }
  [[nodiscard]] Inbox& inbox() { return *inbox_; }
  // Takes what is in it.
  void open_inbox();
  // For the JS thread: gives the batch its number, and pushes it.
  void publish_commands(CommandBatch* batch);
  // For loops that hand connections over to this one: it may be used after this loop's end.
  [[nodiscard]] const std::shared_ptr<Inbox>& shared_inbox() const { return inbox_; }
  [[nodiscard]] Entry& entry(uint32_t slot) { return entries_[slot]; }
  [[nodiscard]] Poller& poller() { return poller_; }
  [[nodiscard]] Acceptor& acceptor() { return acceptor_; }
  [[nodiscard]] Connector& connector() { return connector_; }
  [[nodiscard]] Relays& relays() { return relays_; }
  [[nodiscard]] Watcher& watcher() { return watcher_; }
  [[nodiscard]] Moves& moves() { return moves_; }
  // The batch that is being filled; null without one.
  [[nodiscard]] EventBatch* filling() { return filling_; }
  [[nodiscard]] Stats& stats() { return stats_; }
  [[nodiscard]] FileTable& file_table() { return file_table_; }
  [[nodiscard]] uint64_t now_ms() const { return now_ms_; }
  // Of a connection whose kClose JavaScript has not handed back. For the JS thread.
  [[nodiscard]] Address local_address(uint32_t slot);

 private:
  struct TimerOf {
    EntrySlab* entries;
    TimerNode& operator()(uint32_t slot) const { return (*entries)[slot].timer; }
  };
  using Wheel = TimerWheel<TimerOf>;

  // What broadcasts may do in the rest of a turn.
  struct SpreadBudget {
    size_t sends;
    size_t looks;
    size_t bytes;

    [[nodiscard]] bool any() const { return sends > 0 && looks > 0 && bytes > 0; }
  };

  // loop.cc: the turn.
  std::span<const Readiness> wait();
  [[nodiscard]] bool busy() const;
  [[nodiscard]] bool has_news() const;
  [[nodiscard]] int sleep_ms();
  void collect(std::span<const Readiness> ready);
  void take_returned();
  void free_closed();
  void free_slot(uint32_t slot);
  void release(uint32_t slot);
  void publish();
  [[nodiscard]] bool rotate();
  void wake_js();
  void update_clock();
  void close_all();

  // transfer.cc: one connection.
  void flush_all();
  [[nodiscard]] bool sends_now(const Entry& entry, bool room) const;
  size_t flush_one(uint32_t slot);  // bytes sent
  void serve_ready();
  void serve(uint32_t slot);
  bool read(uint32_t slot, Entry& entry);
  [[nodiscard]] bool tell(uint32_t slot, Entry& entry, uint32_t due);
  void note_drained(uint32_t slot, Entry& entry);
  void after_flush(uint32_t slot, Entry& entry);
  [[nodiscard]] bool await_handshake(uint32_t slot, Entry& entry);
  void fail_write(uint32_t slot, Entry& entry, int error);
  void end_of_stream(uint32_t slot, Entry& entry);
  void count_flushed(uint32_t slot, Entry& entry, const Flushed& flushed);

  // handover.cc
  void hand_out_departing();

  // broadcast.cc
  void link();
  void offer(BroadcastRequest& request, const BroadcastTarget& target);
  void spread();
  void spread(BroadcastRequest& request, SpreadBudget& left);
  void conclude(BroadcastRequest& request);

  void queue_shared(uint32_t slot, Entry* entry, SharedPayload& payload, uint32_t max_write_queue);

  // move.cc
  void search_idle();
  [[nodiscard]] bool find_idle(IdleRequest& request);
  [[nodiscard]] std::unique_ptr<Parcel> pack(uint32_t slot, Entry& entry);
  void arrive(uint32_t slot, Parcel& parcel);
  void fail_to_arrive(uint32_t slot, uint16_t error, uint8_t syscall);
  [[nodiscard]] bool requeue(Entry& entry, OutboundRun& run);
  void carry_out_late(uint32_t slot, uint32_t generation, Deferred one);

  // timeouts.cc
  void pack_timeouts(Entry& entry, Parcel& parcel) const;
  void unpack_timeouts(uint32_t slot, Entry& entry, Parcel& parcel);
  [[nodiscard]] static uint32_t deadline_of(uint32_t since, uint32_t ms);
  [[nodiscard]] int32_t next_look(Entry& entry) const;
  void arm_timer(uint32_t slot, Entry& entry);
  void look_sooner(uint32_t slot, Entry& entry);
  [[nodiscard]] size_t unacknowledged_of(const Entry& entry);
  void note_acknowledged(Entry& entry);
  void fire_timers();
  [[nodiscard]] uint32_t expire(Entry& entry);
  void note_heard(Entry& entry);
  void note_wanted(Entry& entry);
  void note_flush(Entry& entry, bool progress);
  void note_end(Entry& entry);
  void forgive(Entry& entry);
  [[nodiscard]] bool tell_timeouts(uint32_t slot, Entry& entry);

  // files.cc
  void load_file(uint32_t slot, Entry& entry);
  void take_loaded();
  void break_off(uint32_t slot, Entry& entry, int error);
  void finish_files();
  void received(uint32_t slot, Entry& entry, ssize_t got, size_t asked);

  // frames.cc: one connection's bytes, cut into frames.
  bool read_frames(uint32_t slot, Entry& entry, ReadMode mode);
  [[nodiscard]] bool deliver_waiting(uint32_t slot, Entry& entry, ReadMode mode);
  ssize_t read_into_framer(uint32_t slot, Entry& entry, const Framing& framing, size_t budget);
  ssize_t read_into_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t budget);
  void cut_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t pending, size_t got);
  [[nodiscard]] bool take_frame();
  void misfit(Entry& entry);
  [[nodiscard]] const Framing& framing_of(const Entry& entry) const;
  void set_framing(Entry& entry, const Framing* framing);
  void drop_framer(Entry& entry);

  // commands.cc
  void write_remote(RemoteWrite write);
  [[nodiscard]] bool has_remote_before(uint32_t batch) const;
  [[nodiscard]] bool write_remote_before(uint32_t batch);
  void spend(size_t units);
  void spend_on_copy(const Outbound& queue) { spend(queue.bytes() / 1024); }
  // Segments: a queue of broadcasts may have a hundred thousand.
  void spend_on_drop(const Outbound& queue) { spend(queue.overhead() / QueueCost::kSegment); }
  void send_soon(uint32_t slot);
  void queued(uint32_t slot, Entry& entry, bool appended, size_t limit);
  void overflow(uint32_t slot, Entry& entry);
  void write(uint32_t slot, Entry& entry, uint32_t word, std::span<const uint8_t> bytes, const PinnedBytes& pinned);
  void carry_out(uint32_t slot, Entry* entry, uint32_t word, uint32_t argument, std::span<const uint8_t> bytes,
                 const PinnedBytes& pinned);
  void execute_commands();
  [[nodiscard]] bool execute(CommandBatch& batch);
  void execute_one(CommandBatch& batch, const uint32_t* record);
  void run_request(std::unique_ptr<Request> request);
  void answer(std::unique_ptr<Request> request);
  void return_commands();

  [[nodiscard]] uint64_t word_of(uint32_t slot) const { return uint64_t{entries_.generation(slot)} << 32 | slot; }

  FileTable file_table_;
  Poller poller_;
  Mailbox& mailbox_;
  JsWaker waker_;
  uint32_t* flushed_;
  double* shared_stats_;

  Quota quota_;
  bool shares_quota_;
  std::shared_ptr<Inbox> inbox_;
  EntrySlab entries_;
  std::unique_ptr<LocalAddresses> local_addresses_;  // with a file table of its own
  OutboundPool pool_;
  ReadyList ready_;
  FlushList flush_;
  BulkList bulk_;
  Wheel wheel_;
  Acceptor acceptor_;
  Connector connector_;
  Relays relays_;
  Watcher watcher_;
  Moves moves_;
  Stats stats_;
  FramingTable framings_;

  EventBatch* filling_ = nullptr;  // null: all batches are with the JS thread
  EventBatch* spare_ = nullptr;    // linked by `next`
  bool starved_ = false;           // the ready list waits for a batch
  bool held_back_ = false;         // a short batch has waited for a turn
  bool crowded_ = false;           // a connection has had its share of frames in this turn
  uint32_t frames_left_ = 0;       // of the share of the connection that is being read
  uint32_t closing_ = 0;           // slots whose kClose is on its way
  std::deque<uint32_t> closed_;    // of these, those whose kClose has come back
  std::vector<std::unique_ptr<Request>> completed_;
  std::unordered_map<Request*, std::unique_ptr<Request>> waiting_;  // for complete()
  std::deque<BroadcastRequest*> broadcasts_;                        // some of whose targets have yet to get their turn
  BroadcastRequest* linking_ = nullptr;                             // one of them: not in all of its queues yet
  std::deque<DepartRequest*> departing_;                            // the passage takes none of them yet
  FileWorkers file_workers_;               // its jobs point to requests: it goes before they do
  std::deque<RemoteWrite> remote_writes_;  // taken from the inbox, for their places among the batches
  uint32_t last_batch_ = 0;                // that was executed
  CommandBatch* executing_ = nullptr;      // to be carried out, oldest first; behind it are those that came later
  CommandBatch* newest_ = nullptr;         // the last of these
  CommandBatch* executed_ = nullptr;       // this turn's, until their arenas are sent or copied
  size_t commands_left_ = 0;               // of this turn's share
  uint32_t next_record_ = 0;               // cursor into the first of `executing_`
  bool answered_ = false;                  // in this turn, to JavaScript by itself

  uint64_t start_ms_;
  uint64_t now_ms_;
  uint32_t now_tick_ = 0;
};

}  // namespace c1m
