#include "native/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace c1m {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

sockaddr_in ipv4(const in_addr& address, uint16_t port) noexcept {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr = address;
  return in;
}

// The number behind "%eth0" or "%2".
Result<uint32_t> scope_id(const char* scope) {
  if (*scope >= '0' && *scope <= '9') {
    char* end = nullptr;
    const unsigned long number = std::strtoul(scope, &end, 10);
    if (*end == '\0' && number > 0 && number <= UINT32_MAX) return static_cast<uint32_t>(number);
  }
  const unsigned index = ::if_nametoindex(scope);
  if (index == 0) return Error::last("if_nametoindex");
  return static_cast<uint32_t>(index);
}

Result<Address> ipv6(std::string_view literal, uint16_t port) {
  const size_t percent = literal.find('%');
  const std::string text(literal.substr(0, percent));
  sockaddr_in6 in6{};
  if (::inet_pton(AF_INET6, text.c_str(), &in6.sin6_addr) != 1) return Error{EINVAL, "inet_pton"};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  if (percent != std::string_view::npos) {
    Result<uint32_t> scope = scope_id(std::string(literal.substr(percent + 1)).c_str());
    if (!scope) return scope.error();
    in6.sin6_scope_id = scope.value();
  }
  return Address::from(reinterpret_cast<const sockaddr*>(&in6), sizeof(in6));
}

std::string ipv6_text(const sockaddr_in6& in6) {
  char text[INET6_ADDRSTRLEN];
  if (::inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text)) == nullptr) return {};
  std::string host(text);
  if (in6.sin6_scope_id != 0 && IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr)) {
    char name[IF_NAMESIZE];
    host += '%';
    // The interface may be gone by now; its number still tells the peers of two links apart.
    host += ::if_indextoname(in6.sin6_scope_id, name) != nullptr ? name : std::to_string(in6.sin6_scope_id);
  }
  return host;
}

std::string unix_text(const sockaddr_un& un, socklen_t length) {
  if (length <= kPathOffset) return {};
  const size_t size = length - kPathOffset;
  // An abstract name is all of the bytes; a path ends at its NUL, which `length` may or may not count.
  if (un.sun_path[0] == '\0') return std::string(un.sun_path, size);
  return std::string(un.sun_path, ::strnlen(un.sun_path, size));
}

}  // namespace

Result<Address> Address::ip(const char* literal, uint16_t port) {
  in_addr v4{};
  if (::inet_pton(AF_INET, literal, &v4) == 1) {
    const sockaddr_in in = ipv4(v4, port);
    return from(reinterpret_cast<const sockaddr*>(&in), sizeof(in));
  }
  return ipv6(literal, port);
}

Result<Address> Address::unix_path(std::string_view path) {
  const bool abstract = !path.empty() && path.front() == '\0';
  if (path.empty() || (!abstract && path.find('\0') != std::string_view::npos)) return Error{EINVAL, "bind"};
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  // A path keeps its final NUL inside sun_path: without it other programs misread the address, see unix(7), BUGS.
  const size_t size = path.size() + (abstract ? 0 : 1);
  if (size > sizeof(un.sun_path)) return Error{ENAMETOOLONG, "bind"};
  std::memcpy(un.sun_path, path.data(), path.size());
  return from(reinterpret_cast<const sockaddr*>(&un), static_cast<socklen_t>(kPathOffset + size));
}

Address Address::from(const sockaddr* address, socklen_t length) noexcept {
  Address copy;
  copy.length_ = length < capacity() ? length : capacity();
  std::memcpy(&copy.storage_, address, copy.length_);
  return copy;
}

Result<Address> Address::local_of(int fd) {
  Address address;
  address.length_ = capacity();
  if (::getsockname(fd, address.data(), address.length_pointer()) != 0) return Error::last("getsockname");
  return address;
}

Result<Address> Address::peer_of(int fd) {
  Address address;
  address.length_ = capacity();
  if (::getpeername(fd, address.data(), address.length_pointer()) != 0) return Error::last("getpeername");
  return address;
}

std::string Address::host() const {
  switch (family()) {
    case AF_INET: {
      char text[INET_ADDRSTRLEN];
      const auto& in = reinterpret_cast<const sockaddr_in&>(storage_);
      return ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text)) != nullptr ? text : "";
    }
    case AF_INET6:
      return ipv6_text(reinterpret_cast<const sockaddr_in6&>(storage_));
    case AF_UNIX:
      return unix_text(reinterpret_cast<const sockaddr_un&>(storage_), length_);
    default:
      return {};
  }
}

uint16_t Address::port() const noexcept {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage_).sin6_port);
  return 0;
}

PackedAddress PackedAddress::from(const sockaddr* address, socklen_t length) noexcept {
  PackedAddress packed;
  if (length < sizeof(address->sa_family)) return packed;
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    packed.port = ntohs(in.sin_port);
    std::memcpy(packed.bytes, &in.sin_addr, sizeof(in.sin_addr));
  } else if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in6;
    std::memcpy(&in6, address, sizeof(in6));
    packed.port = ntohs(in6.sin6_port);
    packed.scope = in6.sin6_scope_id;
    std::memcpy(packed.bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
  }
  packed.family = address->sa_family;
  return packed;
}

Address PackedAddress::unpack() const noexcept {
  if (family == AF_INET) {
    in_addr v4{};
    std::memcpy(&v4, bytes, sizeof(v4));
    const sockaddr_in in = ipv4(v4, port);
    return Address::from(reinterpret_cast<const sockaddr*>(&in), sizeof(in));
  }
  if (family == AF_INET6) {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    in6.sin6_scope_id = scope;
    std::memcpy(&in6.sin6_addr, bytes, sizeof(in6.sin6_addr));
    return Address::from(reinterpret_cast<const sockaddr*>(&in6), sizeof(in6));
  }
  if (family == AF_UNSPEC) return Address();
  sockaddr unnamed{};
  unnamed.sa_family = family;
  return Address::from(&unnamed, sizeof(unnamed.sa_family));
}

}  // namespace c1m
