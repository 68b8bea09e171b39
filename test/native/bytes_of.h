#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "native/conn/framer.h"
#include "native/features/groups/broadcast_request.h"
#include "native/mem/bytes.h"

namespace c1m {

inline const uint8_t* start_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

inline Bytes bytes_of(std::string_view text) {
  Bytes bytes;
  REQUIRE(bytes.append(start_of(text), text.size()));
  return bytes;
}

inline std::unique_ptr<Framer> unread_of(std::string_view text) {
  if (text.empty()) return nullptr;
  auto framer = std::make_unique<Framer>();
  REQUIRE(framer->append(start_of(text), text.size()));
  return framer;
}

template <class Kept>
std::string text_of(const Kept& kept) {
  return {reinterpret_cast<const char*>(kept.data()), kept.size()};
}
inline std::string text_of(const std::unique_ptr<Framer>& unread) {
  return unread == nullptr ? std::string() : text_of(*unread);
}

inline std::shared_ptr<const Bytes> list_of(const std::vector<BroadcastTarget>& targets) {
  Bytes bytes;
  REQUIRE(bytes.append(reinterpret_cast<const uint8_t*>(targets.data()), targets.size() * sizeof(BroadcastTarget)));
  return std::make_shared<const Bytes>(std::move(bytes));
}

}  // namespace c1m
