// What a worker's gRPC status is about.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace mark::net {

// Statuses that say nothing about the batch: the worker, or the way to it, is at fault. The one list of both links.
inline constexpr std::array<std::string_view, 4> kLinkStatuses{"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED",
                                                               "ABORTED"};

constexpr bool is_of_the_link(std::string_view status_name) {
  return std::find(kLinkStatuses.begin(), kLinkStatuses.end(), status_name) != kLinkStatuses.end();
}

}  // namespace mark::net
