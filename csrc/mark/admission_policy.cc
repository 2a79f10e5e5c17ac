#include "mark/admission_policy.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace mark {

Admission AdmissionPolicy::admit(const Request& request, TimeNs now) const {
  if (request.deadline <= now) {
    return Admission::kExpired;
  }
  if (!queue_.has_room_for(request.bytes)) {
    return Admission::kQueueFull;
  }
  if (balancer_.ready() > 0) {
    const std::optional<DurationNs> alone = balancer_.fastest(request.rows);
    if (!alone || (predicts_ && now + backlog(now) + *alone > request.deadline)) {
      return Admission::kPredictedMiss;
    }
  }
  return Admission::kAccepted;
}

TimeNs AdmissionPolicy::doomed_from(const LiveRequest& head) const {
  const TimeNs deadline = head.request.deadline;
  if (balancer_.ready() == 0) {
    return deadline;
  }
  const std::optional<DurationNs> alone = balancer_.fastest(head.request.rows);
  if (!alone) {
    return TimeNs::min();
  }
  return predicts_ ? std::min(deadline, deadline - *alone + DurationNs{1}) : deadline;
}

DurationNs AdmissionPolicy::backlog(TimeNs now) const {
  if (balancer_.ready() == 0) {
    return queue_.empty() ? DurationNs::zero() : rt_max_;
  }
  // The cap keeps the conversion to nanoseconds within its type.
  const std::chrono::duration<double> queued{static_cast<double>(queue_.rows()) / balancer_.rows_per_s()};
  return balancer_.until_free(now) + std::chrono::duration_cast<DurationNs>(std::min(queued, {std::chrono::hours{24}}));
}

}  // namespace mark
