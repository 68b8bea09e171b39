#include "native/features/handover/departures.h"

namespace c1m {

bool DetachRequest::attempt(Departures& departures) { return departures.adopt_detach.detach(*this); }

bool ReleaseRequest::attempt(Departures& departures) { return departures.migration.release(*this); }

}  // namespace c1m
