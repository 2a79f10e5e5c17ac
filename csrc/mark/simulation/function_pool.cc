#include "mark/simulation/function_pool.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace mark {

FunctionPool::FunctionPool(const FunctionPoolParams& params, TimeNs now)
    : params_(params), begun_(now), kept_idle_(params.keep_warm), tokens_(params.cold_starts_burst), tokens_at_(now) {
  const bool times = params.latency > DurationNs::zero() && params.cold_start >= DurationNs::zero() &&
                     params.idle_max > DurationNs::zero() && params.price.quantum > DurationNs::zero();
  const bool counts = params.keep_warm >= 0 && params.concurrency_max >= params.keep_warm &&
                      params.concurrency_max >= 1 && params.cold_starts_burst >= 0 && params.cold_starts_per_s >= 0;
  if (!times || !counts || (params.keep_warm > 0 && params.ping_interval <= DurationNs::zero())) {
    throw std::invalid_argument(
        "function pool: latency, idle_max and quantum must be positive, nothing negative, keep_warm no more "
        "than concurrency_max, and ping_interval positive where functions are kept warm");
  }
}

void FunctionPool::expire(TimeNs now) {
  while (!idle_.empty() && now - idle_.front() > params_.idle_max) {
    idle_.pop_front();
  }
}

std::optional<FunctionStart> FunctionPool::start(TimeNs now) {
  expire(now);
  if (!idle_.empty()) {
    idle_.pop_back();
    ++busy_;
    return FunctionStart{.cold = false};
  }
  if (kept_idle_ > 0) {
    --kept_idle_;
    ++busy_;
    ++busy_kept_;
    return FunctionStart{.cold = false};
  }
  const double passed_s = std::chrono::duration<double>(now - tokens_at_).count();
  tokens_ = std::min(params_.cold_starts_burst, tokens_ + passed_s * params_.cold_starts_per_s);
  tokens_at_ = now;
  if (busy_ >= params_.concurrency_max || tokens_ < 1) {
    return std::nullopt;
  }
  tokens_ -= 1;
  ++busy_;
  ++cold_starts_;
  return FunctionStart{.cold = true};
}

void FunctionPool::finish(DurationNs ran, TimeNs now) {
  --busy_;
  if (busy_kept_ > 0) {
    --busy_kept_;
    ++kept_idle_;
  } else {
    idle_.push_back(now);
  }
  spent_usd_ += params_.price.usd(ran);
}

double FunctionPool::usd(TimeNs now) const {
  if (params_.keep_warm == 0) {
    return spent_usd_;
  }
  const auto pings = static_cast<double>((now - begun_) / params_.ping_interval * params_.keep_warm);
  return spent_usd_ + pings * params_.price.usd(params_.price.quantum);
}

}  // namespace mark
