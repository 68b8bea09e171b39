#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "native/base/result.h"

namespace c1m {

// A socket address of any family, with its length. A plain value: copied freely, owned by whoever holds it.
// Ports are in host byte order everywhere outside the sockaddr itself.
class Address {
 public:
  // No address (family AF_UNSPEC, length 0), to be filled through data() and length_pointer().
  Address() noexcept = default;

  // An IPv4 or IPv6 literal; IPv6 may carry a scope, as a name or a number: "fe80::1%eth0", "fe80::1%2".
  // Anything else, host names included, is EINVAL; an interface that doesn't exist is if_nametoindex's error.
  [[nodiscard]] static Result<Address> ip(const char* literal, uint16_t port);

  // A Unix socket's path; with a leading NUL it is a name in Linux's abstract namespace (unix(7)).
  // A path that doesn't fit sun_path is ENAMETOOLONG, an empty one or one with a NUL inside EINVAL.
  [[nodiscard]] static Result<Address> unix_path(std::string_view path);

  // What the kernel wrote, for example in accept4(2).
  [[nodiscard]] static Address from(const sockaddr* address, socklen_t length) noexcept;

  // getsockname(2) and getpeername(2).
  [[nodiscard]] static Result<Address> local_of(int fd);
  [[nodiscard]] static Result<Address> peer_of(int fd);

  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t length() const noexcept { return length_; }
  [[nodiscard]] int family() const noexcept { return length_ == 0 ? AF_UNSPEC : storage_.ss_family; }

  // For calls that write an address. *length_pointer() must be set to capacity() before such a call.
  [[nodiscard]] sockaddr* data() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t* length_pointer() noexcept { return &length_; }
  [[nodiscard]] static constexpr socklen_t capacity() noexcept { return sizeof(sockaddr_storage); }

  // The text that Node shows: an IPv4-mapped IPv6 address stays "::ffff:1.2.3.4", a link-local one carries its
  // interface ("fe80::1%eth0"). The path of a Unix socket (an abstract one with its leading NUL, an unnamed one
  // is ""). "" for no address.
  [[nodiscard]] std::string host() const;

  // 0 where the family has no ports.
  [[nodiscard]] uint16_t port() const noexcept;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// An IP address and port in 24 bytes, for the connection slots: a sockaddr_storage would be 128. Of a Unix socket's
// address only the family is kept: an accepted Unix connection's peer has no name, and its own is the listener's.
struct PackedAddress {
  uint16_t family = AF_UNSPEC;
  uint16_t port = 0;    // host byte order
  uint32_t scope = 0;   // sin6_scope_id
  uint8_t bytes[16]{};  // network byte order; IPv4 uses the first four

  [[nodiscard]] static PackedAddress from(const sockaddr* address, socklen_t length) noexcept;
  [[nodiscard]] Address unpack() const noexcept;

  bool operator==(const PackedAddress&) const = default;
};
static_assert(sizeof(PackedAddress) == 24);
static_assert(std::is_trivially_copyable_v<PackedAddress>);

}  // namespace c1m
