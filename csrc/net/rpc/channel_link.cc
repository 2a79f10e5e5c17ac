#include "net/rpc/channel_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mark::net {

namespace {

using namespace std::chrono_literals;

// What gRPC servers forgive: two PINGs between two answers, and then one in so long.
constexpr int kPingsForgiven = 2;
constexpr DurationNs kPingPause = 5min;

// Answers are as large as batches are, and what they may take is bounded by what was asked.
Http2Limits client_limits() {
  Http2Limits limits;
  limits.stream_window_bytes = 4 << 20;
  limits.connection_window_bytes = 16 << 20;
  return limits;
}

}  // namespace

ChannelLink::ChannelLink(EventLoop& loop, std::unique_ptr<Transport> transport, DurationNs ping_after,
                         ChannelLinkOwner& owner)
    : loop_(loop),
      ping_after_(ping_after),
      owner_(owner),
      connection_(
          Http2Connection::make(loop, std::move(transport), Http2Connection::Role::kClient, client_limits(), *this)) {}

ChannelLink::~ChannelLink() { close(); }

bool ChannelLink::has_room() const {
  return connection_->is_open() && connection_->open_streams() < connection_->peer_streams_max();
}

StreamId ChannelLink::open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler) {
  if (connection_->open_streams() == 0) {
    waiting_since_ = loop_.now();
    if (!timer_) watch_over(waiting_since_ + ping_after_);
  }
  return connection_->open(headers, std::move(handler), /*ended=*/false);
}

void ChannelLink::heard() {
  if (std::exchange(pings_without_answer_, 0) == 0) return;
  // The next PING need not be so long after the last one any more.
  if (timer_) loop_.cancel(*timer_);
  watch_over(loop_.now() + ping_after_);
}

void ChannelLink::retire() {
  told_retired_ = true;
  connection_->go_away();
}

void ChannelLink::close() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  connection_->close();
}

std::unique_ptr<StreamHandler> ChannelLink::on_stream(Http2Connection& /*connection*/, StreamId /*stream*/) {
  return nullptr;  // a client's peer opens none
}

void ChannelLink::on_settings(Http2Connection& /*connection*/) {
  if (std::exchange(ready_, true)) return;
  owner_.on_link_ready(*this);
}

void ChannelLink::on_go_away(Http2Connection& /*connection*/) {
  if (std::exchange(told_retired_, true)) return;
  owner_.on_link_retired(*this);
}

void ChannelLink::on_connection_closed(Http2Connection& /*connection*/, std::string_view why) {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  owner_.on_link_closed(*this, std::string(why));
}

void ChannelLink::watch_over(TimeNs when) {
  timer_ = loop_.call_at(when, [this] {
    timer_.reset();
    look();
  });
}

void ChannelLink::look() {
  if (connection_->open_streams() == 0) return;  // watched again with the next call
  const TimeNs now = loop_.now();
  const TimeNs last_read = connection_->last_read();
  if (pinged_ && last_read < *pinged_ && *pinged_ >= waiting_since_) {
    if (now < *pinged_ + ping_after_) return watch_over(*pinged_ + ping_after_);
    connection_->close();
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(ping_after_);
    owner_.on_link_closed(*this, "the peer did not answer a ping within " + std::to_string(patience.count()) + " ms");
    return;
  }
  TimeNs due = std::max(last_read, waiting_since_) + ping_after_;
  if (pinged_ && pings_without_answer_ >= kPingsForgiven) due = std::max(due, *pinged_ + kPingPause);
  if (now < due) return watch_over(due);
  ping(now);
}

void ChannelLink::ping(TimeNs now) {
  connection_->ping();
  pinged_ = now;
  ++pings_without_answer_;
  watch_over(now + ping_after_);
}

}  // namespace mark::net
