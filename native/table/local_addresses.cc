#include "native/table/local_addresses.h"

#include <sys/socket.h>

#include <algorithm>

namespace c1m {

void LocalAddresses::note(uint32_t slot, int fd) {
  Result<Address> local = Address::local_of(fd);
  const Address address = local ? local.value() : Address();
  PackedAddress packed = PackedAddress::from(address.get(), address.length());
  if (packed.family == AF_UNIX) {
    const std::scoped_lock lock(mutex_);
    const auto same = [&](const Address& other) { return other.host() == address.host(); };
    const auto found = std::ranges::find_if(paths_, same);
    packed.scope = static_cast<uint32_t>(found - paths_.begin());
    if (found == paths_.end()) paths_.push_back(address);
  }
  packed_[slot] = packed;
}

Address LocalAddresses::of(uint32_t slot) {
  const PackedAddress& packed = packed_[slot];
  if (packed.family != AF_UNIX) return packed.unpack();
  const std::scoped_lock lock(mutex_);
  return paths_[packed.scope];
}

}  // namespace c1m
