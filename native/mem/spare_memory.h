#pragma once

namespace c1m::spare_memory {

// Memory that the process keeps for the time when there is none: for what is small, and has no way on without it, as a request,
// a node of a map, or a vector that grows. It is mapped and never touched, so that it costs address space only.
//
//   there ── operator new finds nothing: the handler gives it back to the system ──▶ spent ── refill() ──▶ there
//
// While it is spent no loop accepts connections. `operator new` that finds nothing then ends the process, as it would without
// all this: there is nothing left that we could do without.
// What users or peers size isn't served from it: see Bytes, which learns that there is no memory.
// Owner: the process; the handler is the C++ library's, and has one for all. Thread: any.

// Whether it is there; one that is spent is taken again, if there is memory for it. Cheap if it is there.
bool refill();
// Whether it is there.
[[nodiscard]] bool is_there();

}  // namespace c1m::spare_memory
