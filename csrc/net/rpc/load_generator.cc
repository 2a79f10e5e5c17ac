#include "net/rpc/load_generator.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "net/rpc/connector.h"

namespace mark::net {

namespace {

using Kind = LoadOutcome::Ending::Kind;

// The first three endings.
constexpr std::uint16_t kAnswered = 0;
constexpr std::uint16_t kCancelled = 1;
constexpr std::uint16_t kNotSent = 2;
// A server may put numbers into its texts: beyond so many different ones, the first of a status stands for the rest.
constexpr std::size_t kEndingsMax = 1000;

std::vector<Piece> pieces_of(std::vector<std::string> requests) {
  std::vector<Piece> pieces;
  pieces.reserve(requests.size());
  for (std::string& request : requests) pieces.emplace_back(std::move(request));
  return pieces;
}

}  // namespace

LoadGenerator::LoadGenerator(LoadParams params, std::vector<std::string> requests)
    : params_(std::move(params)), requests_(pieces_of(std::move(requests))) {
  if (requests_.empty()) throw std::invalid_argument("needs at least one request to send");
  if (params_.connections < 1) {
    throw std::invalid_argument("connections must be at least 1, not " + std::to_string(params_.connections));
  }
  if (params_.in_flight_max < 1) throw std::invalid_argument("in_flight_max must be at least 1, not 0");
  if (params_.timeout && *params_.timeout <= DurationNs{0}) throw std::invalid_argument("timeout must be above 0");
  parse_peer_address(params_.address);
}

LoadGenerator::~LoadGenerator() = default;

LoadOutcome LoadGenerator::run_open(std::span<const std::int64_t> instants_ns) {
  if (!std::is_sorted(instants_ns.begin(), instants_ns.end())) throw std::invalid_argument("instants must increase");
  begin();
  instants_ns_ = instants_ns;
  outcome_.due_ns.reserve(instants_ns.size());
  outcome_.latency_ns.reserve(instants_ns.size());
  outcome_.lag_ns.reserve(instants_ns.size());
  outcome_.ending.reserve(instants_ns.size());
  send_due();
  return finish();
}

LoadOutcome LoadGenerator::run_closed(std::size_t in_flight, DurationNs duration) {
  if (in_flight < 1) throw std::invalid_argument("in_flight must be at least 1, not 0");
  begin();
  is_closed_loop_ = true;
  in_flight_wanted_ = in_flight;
  sends_until_ = begun_ + duration;
  send_more();
  return finish();
}

void LoadGenerator::begin() {
  if (!channels_.empty()) throw std::logic_error("a load generator runs once; make another");
  for (const Kind kind : {Kind::kAnswered, Kind::kCancelled, Kind::kNotSent}) add_ending({.kind = kind, .status = {}});
  channels_.reserve(static_cast<std::size_t>(params_.connections));
  for (int i = 0; i < params_.connections; ++i) {
    channels_.push_back(
        std::make_unique<GrpcChannel>(loop_, GrpcChannelParams{.address = params_.address, .tls = params_.tls}));
  }
  // Connecting is no latency of the server's; where it fails, the requests will say why.
  bool late = false;
  const auto timer = loop_.call_at(steady_now() + params_.connect_max, [&late] { late = true; });
  loop_.run_until([this, &late] {
    return late || stopped_ || std::all_of(channels_.begin(), channels_.end(), [](const auto& channel) {
             return channel->is_connected() || !channel->why_unavailable().empty();
           });
  });
  loop_.cancel(timer);
  begun_ = last_end_ = steady_now();
}

LoadOutcome LoadGenerator::finish() {
  loop_.run_until([this] { return is_over(); });
  for (const auto& channel : channels_) channel->close();
  outcome_.duration = last_end_ - begun_;
  return std::move(outcome_);
}

bool LoadGenerator::is_over() const {
  if (given_up_) return true;
  if (in_flight_ > 0) return false;
  const bool sends = is_closed_loop_ ? steady_now() < sends_until_ : outcome_.ending.size() < instants_ns_.size();
  return stopped_ || !sends;
}

void LoadGenerator::send_due() {
  if (stopped_) return;
  // As many as are due by now, the instants of which pass while others are sent: then the next turn is for answers.
  const TimeNs now = steady_now();
  while (outcome_.ending.size() < instants_ns_.size()) {
    const TimeNs due = begun_ + DurationNs{instants_ns_[outcome_.ending.size()]};
    if (due > now) {
      loop_.call_at(due, [this] { send_due(); });
      return;
    }
    send(due);
  }
}

void LoadGenerator::send_more() {
  while (!stopped_ && in_flight_ < in_flight_wanted_) {
    const TimeNs now = steady_now();
    if (now >= sends_until_) return;
    send(now);
  }
}

void LoadGenerator::send(TimeNs due) {
  const std::size_t request = outcome_.ending.size();
  const TimeNs now = steady_now();
  outcome_.due_ns.push_back((due - begun_).count());
  outcome_.latency_ns.push_back(0);
  outcome_.lag_ns.push_back((now - due).count());
  due_.store(request + 1, std::memory_order_relaxed);
  if (in_flight_ >= params_.in_flight_max) {
    outcome_.ending.push_back(kNotSent);
    last_end_ = now;
    return;
  }
  outcome_.ending.push_back(kCancelled);  // stands unless something else ends it
  ++in_flight_;
  GrpcChannel& channel = *channels_[request % channels_.size()];
  channel.call(params_.path, {requests_[request % requests_.size()]},
               params_.timeout ? now + *params_.timeout : TimeNs::max(),
               [this, request](CallResult result) { on_result(request, std::move(result)); });
}

void LoadGenerator::on_result(std::size_t request, CallResult result) {
  const TimeNs now = steady_now();
  --in_flight_;
  last_end_ = now;
  ended_.store(ended_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  outcome_.latency_ns[request] = (now - begun_).count() - outcome_.due_ns[request];
  const bool answered = result.status.code == StatusCode::kOk;
  outcome_.ending[request] = answered ? kAnswered : ending_of(std::move(result.status));
  if (answered && params_.keep_every > 0 && request % params_.keep_every == 0) {
    outcome_.kept.emplace_back(request, std::move(result.message));
  }
  if (is_closed_loop_) send_more();
}

std::uint16_t LoadGenerator::ending_of(GrpcStatus status) {
  const auto key = std::make_pair(status.code, status.message);
  if (const auto known = known_endings_.find(key); known != known_endings_.end()) return known->second;
  if (outcome_.endings.size() >= kEndingsMax) {
    const auto first = known_endings_.lower_bound({status.code, {}});
    if (first != known_endings_.end() && first->first.first == status.code) return first->second;
  }
  const std::uint16_t added = add_ending({.kind = Kind::kFailed, .status = std::move(status)});
  known_endings_.emplace(key, added);
  return added;
}

std::uint16_t LoadGenerator::add_ending(LoadOutcome::Ending ending) {
  outcome_.endings.push_back(std::move(ending));
  return static_cast<std::uint16_t>(outcome_.endings.size() - 1);
}

void LoadGenerator::stop(DurationNs grace) {
  loop_.post([this, grace] {
    stopped_ = true;
    loop_.call_at(steady_now() + grace, [this] { given_up_ = true; });
  });
}

}  // namespace mark::net
