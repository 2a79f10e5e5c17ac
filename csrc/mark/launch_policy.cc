#include "mark/launch_policy.h"

#include <algorithm>

namespace mark {
namespace {

void wake_by(WaitUntil& wait, TimeNs at) { wait.at = std::min(wait.at.value_or(at), at); }

}  // namespace

NextStep LaunchPolicy::next(TimeNs now) {
  WaitUntil wait;
  if (queue_.empty()) {
    return wait;
  }
  wake_by(wait, admission_.look_again_at(now));
  if (!balancer_.any_free()) {
    return wait;
  }
  BalancerChoice choice = choose(now, wait);
  if (choice.candidate.worker == nullptr) {
    return wait;
  }
  const bool affordable = admission_.can_afford(choice.candidate, front_.priority);
  if (!affordable && admission_.predicts()) {
    return GiveUp{front_.requests.front()};
  }
  if (!affordable || choice.head_is_lost) {
    // Late or not, the head is served, and then nothing is gained by leaving others behind.
    choice.candidate.take.requests = choice.candidate.take.requests_that_fit;
    choice.candidate.take.rows = front_.rows(choice.candidate.take.requests);
  }
  const BatchVerdict verdict =
      choice.hold_until ? *choice.hold_until : batching_.decide(front_, choice.candidate, arrivals_, now);
  if (const auto* until = std::get_if<TimeNs>(&verdict)) {
    wake_by(wait, *until);
    return wait;
  }
  return LaunchBatch{choice.candidate, std::get<DispatchReason>(verdict)};
}

// Reads front_ and asks the balancer. A head that would be late on every free worker is left to a busy one, and if that
// is late as well, it is given up at its time; it does not hold up those behind it that a free worker finishes in time.
BalancerChoice LaunchPolicy::choose(TimeNs now, WaitUntil& wait) {
  FrontFilter filter{.batch_rows_max = balancer_.n_batch_max(), .request_rows_max = balancer_.free_rows_max()};
  queue_.read_front(filter, front_);
  if (front_.requests.empty()) {
    return {};
  }
  const BalancerChoice choice = balancer_.choose(front_, now);
  if (choice.left_to_busy_until) {
    if (!admission_.predicts()) {
      wake_by(wait, *choice.left_to_busy_until);  // from then on it is served late
    }
  } else if (!choice.head_is_lost || !admission_.predicts()) {
    return choice;
  }
  filter.accepts = [&](const Request& r) { return balancer_.free_in_time(r.rows, r.deadline, now); };
  queue_.read_front(filter, front_);
  return front_.requests.empty() ? BalancerChoice{} : balancer_.choose(front_, now);
}

}  // namespace mark
