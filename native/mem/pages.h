#pragma once

#include <cstddef>

namespace c1m {

// Gives the pages that lie wholly in this memory back to the system. It must be private and anonymous, as what malloc(3) returns
// is: it stays the owner's, and reads as zeros where it was given back (MADV_DONTNEED, madvise(2)).
void give_back_pages(const void* memory, size_t bytes);

}  // namespace c1m
