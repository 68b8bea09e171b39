#include "test/native/js_side.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

namespace c1m {

namespace {

constexpr uint32_t kCommands = 4096;
constexpr uint8_t kPoison = 0xdd;

constexpr char letter_of(Event event) {
  if (event == Event::kDrain) return 'R';
  return kEventNames[static_cast<size_t>(event) - 1][std::string_view("EVENT_").size()];
}

constexpr bool letters_differ() {
  constexpr std::string_view others = "MrwL";
  for (size_t a = 1; a <= kEventNames.size(); ++a) {
    const char letter = letter_of(static_cast<Event>(a));
    if (others.find(letter) != std::string_view::npos) return false;
    for (size_t b = 1; b < a; ++b) {
      if (letter_of(static_cast<Event>(b)) == letter) return false;
    }
  }
  return true;
}
static_assert(letters_differ(), "an event whose name begins as another one's has a letter of its own in letter_of()");

}  // namespace

JsSide::JsSide(const Memory& memory)
    : sizes_(memory),
      memory_(static_cast<size_t>(memory.batches)),
      flushed_(memory.max_connections),
      stats_(kStatCount) {
  for (BatchMemory& one : memory_) {
    one.records.resize(size_t{EventBatch::kRecords} * EventBatch::kRecordWords);
    one.batch = std::make_unique<EventBatch>(one.records.data());
    for (const ReadMode mode : {ReadMode::kOwned, ReadMode::kBorrowed}) {
      std::vector<uint8_t>& slab = one.slabs[static_cast<size_t>(mode)];
      slab.resize(sizes_.slab_bytes);
      one.batch->slab(mode) = {.data = slab.data(), .size = sizes_.slab_bytes, .used = 0};
    }
    mailbox.returned.push(one.batch.get());
  }
  add_command_batch();
}

JsSide::~JsSide() = default;

LoopOptions JsSide::options(Trigger trigger) {
  return {.max_connections = sizes_.max_connections,
          .connections = &connections_,
          .trigger = trigger,
          .flushed = flushed_.data(),
          .stats = stats_.data()};
}

bool JsSide::deliver() {
  if (!woken.exchange(false)) return false;
  for (Request* request = mailbox.answers.take(); request != nullptr;) {
    completed.emplace_back(std::exchange(request, request->next));
  }
  if (EventBatch* batch = take()) give_back(batch);
  if (pending_ != nullptr || !mailbox.js_may_sleep()) woken = true;
  return true;
}

int JsSide::deliver_all() {
  const int before = batches_taken;
  while (deliver()) continue;
  return batches_taken - before;
}

EventBatch* JsSide::take() {
  if (pending_ == nullptr) pending_ = mailbox.events.take();
  EventBatch* batch = pending_;
  if (batch == nullptr) return nullptr;
  pending_ = batch->next;
  read(*batch);
  return batch;
}

void JsSide::give_back(EventBatch* batch) {
  const auto memory =
      std::find_if(memory_.begin(), memory_.end(), [&](const BatchMemory& one) { return one.batch.get() == batch; });
  std::fill_n(memory->records.begin(), size_t{batch->count()} * EventBatch::kRecordWords, 0xdddddddd);
  std::fill_n(memory->slabs[1].begin(), batch->slab(ReadMode::kBorrowed).used, kPoison);
  // The rest of an owned slab is used further, and a slab with little left is replaced, as lib/ does.
  ReadSlab& owned = batch->slab(ReadMode::kOwned);
  if (owned.room() < EventBatch::kSlabLow) owned.used = 0;
  mailbox.returned.push(batch);
  flush();
  if (mailbox.must_wake_io(false)) loop_->poller().wake();
}

void JsSide::read(EventBatch& batch) {
  ++batches_taken;
  events_taken += batch.count();
  for (void* owner : batch.released) CHECK(pinned_.erase(owner) == 1);
  batch.released.clear();
  for (auto& request : batch.completed) completed.push_back(std::move(request));
  batch.completed.clear();
  const auto memory =
      std::find_if(memory_.begin(), memory_.end(), [&](const BatchMemory& one) { return one.batch.get() == &batch; });
  REQUIRE(memory != memory_.end());
  chunk_ends_[0] = chunk_ends_[1] = 0;
  for (uint32_t i = 0; i < batch.count(); ++i) {
    read_one(batch, memory->records.data() + size_t{i} * EventBatch::kRecordWords);
  }
}

void JsSide::read_one(EventBatch& batch, const uint32_t* record) {
  const auto event = static_cast<Event>(record[0] & 0xff);
  const uint32_t argument = record[0] >> 8;
  const uint32_t slot = record[1];
  if (event == Event::kSaturated) return saturated.push_back(static_cast<int>(record[2]));
  if (event == Event::kWatch) return watched.push_back({slot, static_cast<uint8_t>(argument)});
  if (event == Event::kOpen) return open(slot, record[2], argument);
  REQUIRE_MESSAGE(by_slot_.count(slot) == 1, "an event of a connection that is not open: " << (record[0] & 0xff));
  Told& to = *by_slot_[slot];
  if (event != Event::kData) to.a = record[2];
  switch (event) {
    case Event::kData:
      CHECK_FALSE(to.ended());
      if (!to.log.ends_with('D')) to.log += 'D';
      if (argument == kOwnMemory) return take_frame(batch.frames[record[2]], to, record[3]);
      return take_chunk(batch, to, static_cast<ReadMode>(argument), record[2], record[3]);
    case Event::kEnd:
      CHECK_FALSE(to.ended());
      break;
    case Event::kFraming:
      if (argument == static_cast<uint32_t>(FramingNews::kStopped)) break;
      to.log += 'M';
      return;
    case Event::kTimeout:
      // The idle timeout has the capital letter, because most tests use it.
      if (argument == 0) break;
      to.log += "TrwL"[argument];
      return;
    case Event::kClose:
      to.error = static_cast<int>(record[2]);
      to.syscall = static_cast<Syscall>(argument);
      by_slot_.erase(slot);
      --open_;
      break;
    default:
      REQUIRE_MESSAGE((event > Event{} && event < Event::kPastLast), "event " << (record[0] & 0xff));
  }
  to.log += letter_of(event);
}

void JsSide::open(uint32_t slot, uint32_t generation, uint32_t listener) {
  REQUIRE_MESSAGE(by_slot_.count(slot) == 0, "a second open of slot " << slot);
  REQUIRE(slot < sizes_.max_connections);
  CHECK(generation > 0);
  ++open_;
  Told& told = connections.emplace_back();
  told.slot = slot;
  told.generation = generation;
  told.listener = listener;
  told.log = "O";
  by_slot_[slot] = &told;
}

Told& JsSide::arrive(uint32_t slot, uint32_t generation) {
  open(slot, generation, 0);
  return connections.back();
}

// Checks that chunks lie in the slab one behind the other, without overlap.
void JsSide::take_chunk(EventBatch& batch, Told& to, ReadMode mode, uint32_t offset, uint32_t length) {
  uint32_t& end = chunk_ends_[static_cast<size_t>(mode)];
  CHECK(offset >= end);
  end = offset + length;
  const ReadSlab& slab = batch.slab(mode);
  REQUIRE(end <= slab.used);
  REQUIRE(slab.used <= slab.size);
  to.mode = mode;
  to.chunks.emplace_back(reinterpret_cast<const char*>(slab.data + offset), length);
  to.received += to.chunks.back();
}

// Takes over the frame's memory, as the binding does.
void JsSide::take_frame(OwnFrame& frame, Told& to, uint32_t length) {
  REQUIRE(frame.memory != nullptr);
  CHECK(frame.length == length);
  const OwnFrame own = std::move(frame);
  to.chunks.emplace_back(reinterpret_cast<const char*>(own.memory.get() + own.offset), own.length);
  to.received += to.chunks.back();
}

void JsSide::add_command_batch() {
  auto memory = std::make_unique<CommandMemory>();
  memory->records.resize(size_t{kCommands} * CommandBatch::kRecordWords);
  memory->arena.resize(sizes_.arena_bytes);
  memory->batch =
      std::make_unique<CommandBatch>(memory->records.data(), kCommands, memory->arena.data(), sizes_.arena_bytes);
  current_ = memory.get();
  commands_.push_back(std::move(memory));
}

void JsSide::append(Command command, uint32_t slot, uint32_t generation, uint32_t a, uint32_t b, uint32_t argument) {
  if (current_->batch->count == kCommands) flush();
  uint32_t* record = current_->records.data() + size_t{current_->batch->count++} * CommandBatch::kRecordWords;
  record[0] = static_cast<uint32_t>(command) | argument << 8;
  record[1] = slot;
  record[2] = generation;
  record[3] = a;
  record[4] = b;
}

void JsSide::write(const Told& to, std::string_view bytes, uint32_t wish) {
  const auto length = static_cast<uint32_t>(bytes.size());
  REQUIRE(length <= sizes_.arena_bytes);
  if (arena_used_ + length > sizes_.arena_bytes || current_->batch->count == kCommands) flush();
  std::memcpy(current_->arena.data() + arena_used_, bytes.data(), length);
  append(Command::kWrite, to.slot, to.generation, arena_used_, length, max_write_queue >> 10 | wish >> 8);
  arena_used_ += length;
}

void JsSide::write_pinned(const Told& to, std::string bytes, uint32_t excess) {
  const std::string& pinned = pin(std::move(bytes));
  if (current_->batch->count == kCommands) flush();
  append(Command::kWritePinned, to.slot, to.generation, static_cast<uint32_t>(current_->batch->pinned.size()), excess,
         max_write_queue >> 10);
  current_->batch->pinned.push_back({reinterpret_cast<const uint8_t*>(pinned.data()),
                                     static_cast<uint32_t>(pinned.size()), const_cast<std::string*>(&pinned)});
}

const std::string& JsSide::pin(std::string bytes) {
  auto owner = std::make_unique<std::string>(std::move(bytes));
  const std::string& pinned = *owner;
  pinned_[owner.get()] = std::move(owner);
  return pinned;
}

void JsSide::push(Command command, const Told& to, uint32_t a) { append(command, to.slot, to.generation, a, 0); }

void JsSide::set_timeout(const Told& to, TimeoutKind kind, uint32_t ms) {
  append(Command::kSetTimeout, to.slot, to.generation, ms, 0, static_cast<uint32_t>(kind));
}

void JsSide::request(std::unique_ptr<Request> request) {
  if (current_->batch->count == kCommands) flush();
  append(Command::kRequest, 0, 0, static_cast<uint32_t>(current_->batch->requests.size()), 0);
  current_->batch->requests.push_back(std::move(request));
}

void JsSide::leave_unnamed(std::string pinned, std::unique_ptr<Request> request) {
  const std::string& bytes = pin(std::move(pinned));
  current_->batch->pinned.push_back({reinterpret_cast<const uint8_t*>(bytes.data()),
                                     static_cast<uint32_t>(bytes.size()), const_cast<std::string*>(&bytes)});
  current_->batch->requests.push_back(std::move(request));
}

void JsSide::name_nothing(Command command, const Told& to) {
  for (const uint32_t index : {100u, UINT32_MAX}) append(command, to.slot, to.generation, index, 0);
}

void JsSide::flush() {
  if (current_->batch->count == 0) return;
  loop_->publish_commands(current_->batch.get());
  if (mailbox.must_wake_io(true)) loop_->poller().wake();
  arena_used_ = 0;
  take_spent();
  if (spent_ == nullptr) return add_command_batch();
  const auto memory =
      std::find_if(commands_.begin(), commands_.end(), [&](const auto& one) { return one->batch.get() == spent_; });
  spent_ = spent_->next;
  current_ = memory->get();
}

void JsSide::take_spent() {
  CommandBatch* batch = mailbox.spent.take();
  while (batch != nullptr) {
    CommandBatch* next = batch->next;
    const auto memory =
        std::find_if(commands_.begin(), commands_.end(), [&](const auto& one) { return one->batch.get() == batch; });
    CHECK(batch->count == 0);
    CHECK(batch->pinned.empty());
    batch->requests.clear();
    std::fill((*memory)->arena.begin(), (*memory)->arena.end(), kPoison);
    std::fill((*memory)->records.begin(), (*memory)->records.end(), 0xdddddddd);
    batch->next = spent_;
    spent_ = batch;
    batch = next;
  }
}

uint32_t JsSide::flushed(const Told& of) { return std::atomic_ref<uint32_t>(flushed_[of.slot]).load(); }

double JsSide::stat(const char* name) {
  const auto found = std::find(kStatNames.begin(), kStatNames.end(), std::string_view(name));
  REQUIRE(found != kStatNames.end());
  return std::atomic_ref<double>(stats_[static_cast<size_t>(found - kStatNames.begin())]).load();
}

}  // namespace c1m
