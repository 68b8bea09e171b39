// The framer cuts a stream into frames, wherever the stream is split.
#include "native/conn/framer.h"

#include <doctest/doctest.h>

#include "test/native/frames.h"

using namespace c1m;
using namespace std::string_literals;

namespace {

const std::vector<std::string> kPayloads{"", "x", "\r", "aa", "a\r\r", "", "hello, world", "\0\0\1"s, "aaaa"};

std::vector<Framing> all_framings() {
  std::vector<Framing> all{delimited("\n"), delimited("\r\n"), delimited("aab")};
  for (const uint8_t bytes : {1, 2, 4}) {
    for (const bool little : {false, true}) {
      for (const bool includes : {false, true}) all.push_back(prefixed(bytes, little, includes));
    }
  }
  return all;
}

// The frames of a stream that comes in these pieces, up to the first invalid one.
struct Run {
  std::vector<std::string> frames;
  bool misfit = false;
  size_t left = 0;

  Run(const Framing& framing, const std::vector<std::string>& pieces) {
    Framer framer;
    for (const std::string& piece : pieces) {
      REQUIRE(framer.append(reinterpret_cast<const uint8_t*>(piece.data()), piece.size()));
      for (;;) {
        const Cut cut = framer.next(framing);
        misfit = cut.state == Cut::State::kTooLarge;
        if (misfit) return;
        if (cut.state == Cut::State::kIncomplete) break;
        frames.emplace_back(reinterpret_cast<const char*>(framer.data()) + cut.offset, cut.payload);
        framer.consume(cut.total);
      }
    }
    left = framer.size();
  }
};

}  // namespace

TEST_CASE("frames are the same wherever a stream is split, once or twice") {
  for (const Framing& framing : all_framings()) {
    const std::string stream = encode_all(framing, kPayloads);
    const Reference expected(framing, stream);
    REQUIRE(expected.frames == kPayloads);
    for (size_t first = 0; first <= stream.size(); ++first) {
      for (size_t second = first; second <= stream.size(); ++second) {
        const Run run(framing, {stream.substr(0, first), stream.substr(first, second - first), stream.substr(second)});
        CAPTURE(first);
        CAPTURE(second);
        REQUIRE(run.frames == kPayloads);
        REQUIRE(run.left == 0);
      }
    }
  }
}

TEST_CASE("the framer finds an oversized or invalid frame after the same frames, wherever the stream is split") {
  struct Case {
    Framing framing;
    std::string stream;
  };
  for (const Case& one :
       {Case{prefixed(2, false, false, 5), "\0\5hello\0\6hello!"s},
        Case{prefixed(4, false, true), "\0\0\0\6hi\0\0\0\3"s}, Case{prefixed(1, false, true), "\1\0"s},
        Case{prefixed(4), "\xff\xff\xff\xff"s}, Case{delimited("\n", 5), "hello\nhello!\n"},
        Case{delimited("\r\n", 5), "hello\r\nhello\rx"}, Case{delimited("\r\n", 5), "hello\r\n"},
        Case{delimited("\r\n", 5), "hello!"}, Case{delimited("\r\n", 5), "hello!!"}}) {
    const Reference expected(one.framing, one.stream);
    for (size_t split = 0; split <= one.stream.size(); ++split) {
      const Run run(one.framing, {one.stream.substr(0, split), one.stream.substr(split)});
      CAPTURE(split);
      CHECK(run.frames == expected.frames);
      CHECK(run.misfit == expected.misfit);
    }
  }
}

TEST_CASE("the framer's buffer grows with the received bytes, not with the announced length, and ends with the frame") {
  const Framing framing = prefixed(4, false, false, 1 << 30);
  Framer framer;
  REQUIRE(framer.append(reinterpret_cast<const uint8_t*>("\x3f\xff\xff\xff"), 4));
  CHECK(framer.room(framing, 65536).length == 65536);
  Framer small;
  REQUIRE(small.append(reinterpret_cast<const uint8_t*>("\0\0\0\6hel"), 7));
  CHECK(small.room(framing, 65536).length == 3);
}

TEST_CASE("take() hands over the framer's memory with the last frame, and copies a frame that has bytes behind it") {
  const Framing framing = prefixed(1);
  Framer framer;
  REQUIRE(framer.append(reinterpret_cast<const uint8_t*>("\3one\3two"), 8));
  const OwnFrame one = framer.take(framer.next(framing));
  CHECK(std::string(reinterpret_cast<const char*>(one.memory.get()) + one.offset, one.length) == "one");
  const uint8_t* memory = framer.data();
  const OwnFrame two = framer.take(framer.next(framing));
  CHECK(two.memory.get() + two.offset == memory + 1);
  CHECK(std::string(reinterpret_cast<const char*>(two.memory.get()) + two.offset, two.length) == "two");
  CHECK(framer.size() == 0);
  REQUIRE(framer.append(reinterpret_cast<const uint8_t*>("\1x"), 2));
  CHECK(framer.data()[1] == 'x');
}

TEST_CASE("the search for a delimiter doesn't scan the same bytes twice") {
  const Framing framing = delimited("\r\n");
  Framer framer;
  REQUIRE(framer.append(reinterpret_cast<const uint8_t*>("0123456789\r"), 11));
  CHECK(framer.next(framing).state == Cut::State::kIncomplete);
  CHECK(framer.scanned() == 10);
  REQUIRE(framer.append(reinterpret_cast<const uint8_t*>("\n"), 1));
  CHECK(framer.next(framing).payload == 10);
  framer.consume(12);
  CHECK(framer.scanned() == 0);
}
