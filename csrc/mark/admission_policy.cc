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
  if (params_.predicts && balancer_.ready() > 0) {
    const std::optional<DurationNs> service = service_of(request);
    const DurationNs before = backlog_of(queue_.rows_before(request.priority, request.deadline), now);
    // With the margin, as batches are formed: without it a head at the edge has its batch cut, or is given up.
    if (!service || now + before + *service + params_.margin > request.deadline) {
      return Admission::kPredictedMiss;
    }
  }
  return balancer_.ready() == 0 && burst_in_time(request, now) ? Admission::kPredictedMiss : Admission::kAccepted;
}

std::optional<DurationNs> AdmissionPolicy::service_of(const Request& request) const {
  const std::int64_t waiting = queue_.rows() + request.rows;
  const auto together = static_cast<int>(std::min<std::int64_t>(waiting, balancer_.n_sustained_max()));
  return balancer_.fastest(std::max(request.rows, together));
}

bool AdmissionPolicy::is_doomed(const LiveRequest& head, TimeNs now) const {
  if (now >= doomed_from(head)) {
    return true;
  }
  const TimeNs deadline = head.request.deadline;
  if (!burst_in_time(head.request, now) || now < deadline - params_.burst_latency - params_.margin) {
    return false;
  }
  const std::optional<DurationNs> alone = balancer_.fastest(head.request.rows);
  return !alone || now + balancer_.until_free(now) + *alone > deadline;
}

TimeNs AdmissionPolicy::look_again_at(TimeNs now) const {
  TimeNs at = TimeNs::max();
  for (int priority = 1; priority <= queue_.priorities(); ++priority) {
    if (const LiveRequest* head = queue_.head(priority)) {
      at = std::min(at, look_again_at(*head, now));
    }
  }
  return at;
}

TimeNs AdmissionPolicy::look_again_at(const LiveRequest& head, TimeNs now) const {
  const TimeNs last_call = head.request.deadline - params_.burst_latency;
  // The one in the middle is for drivers that are late: at the last instant itself, theirs has passed.
  for (const TimeNs at : {last_call - params_.margin, last_call - params_.margin / 2, last_call}) {
    if (bursts() && now < at) {
      return std::min(at, doomed_from(head));
    }
  }
  return doomed_from(head);
}

// The first instant from which a request is given up whatever the workers do.
TimeNs AdmissionPolicy::doomed_from(const LiveRequest& head) const {
  const TimeNs deadline = head.request.deadline;
  if (!params_.predicts || balancer_.ready() == 0) {
    return deadline;
  }
  const std::optional<DurationNs> alone = balancer_.fastest(head.request.rows);
  return alone ? std::min(deadline, deadline - *alone + DurationNs{1}) : TimeNs::min();
}

bool AdmissionPolicy::can_afford(const BatchCandidate& candidate, int priority) const {
  if (!candidate.take.cut_by_time()) {
    return true;
  }
  const int rows = candidate.take.rows;
  const std::chrono::duration<double> service = candidate.worker->profile.predict(rows);
  const double share = rows / service.count() / candidate.worker->rows_per_s();
  const std::chrono::duration<double> queued{static_cast<double>(queue_.rows_through(priority)) /
                                             (share * balancer_.rows_per_s())};
  return share >= 1 || queued <= params_.rt_max;
}

DurationNs AdmissionPolicy::backlog_of(std::int64_t rows, TimeNs now) const {
  if (balancer_.ready() == 0) {
    return rows == 0 ? DurationNs::zero() : params_.rt_max;
  }
  // The cap keeps the conversion to nanoseconds within its type.
  const std::chrono::duration<double> queued{static_cast<double>(rows) / balancer_.rows_per_s()};
  return balancer_.until_free(now) + std::chrono::duration_cast<DurationNs>(std::min(queued, {std::chrono::hours{24}}));
}

}  // namespace mark
