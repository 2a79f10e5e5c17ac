#include "net/rpc/channel_connection.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "net/rpc/tls_context.h"

namespace mark::net {

namespace {

std::string seconds_of(DurationNs duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) + " ms";
}

std::string authority_of(const GrpcChannelParams& params, const PeerAddress& address) {
  std::string peer_name = params.tls ? params.tls->peer_name() : "";
  if (!peer_name.empty()) return peer_name;
  return address.is_unix ? "localhost" : params.address;
}

}  // namespace

ChannelConnection::ChannelConnection(EventLoop& loop, const GrpcChannelParams& params, Events events)
    : loop_(loop),
      params_(params),
      address_(parse_peer_address(params.address)),
      events_(std::move(events)),
      authority_(authority_of(params, address_)),
      pause_(params.reconnect_first) {}

ChannelConnection::~ChannelConnection() { close(); }

void ChannelConnection::close() {
  cancel_timer();
  connector_.reset();
  // Handlers that are told look at their link: it ends last.
  if (link_) link_->close();
  for (const auto& link : retired_) link->close();
  link_.reset();
  retired_.clear();
}

void ChannelConnection::retrust(std::shared_ptr<TlsContext> tls) {
  params_.tls = std::move(tls);
  authority_ = authority_of(params_, address_);
  if (link_ && link_->is_ready()) {
    link_->retire();
    on_link_retired(*link_);
  } else if (link_) {  // what it shows is the old identity
    cancel_timer();
    link_->close();
    link_.reset();
    connect();
  }
}

void ChannelConnection::connect() {
  begun_ = steady_now();
  set_timer(begun_ + params_.connect_max, &ChannelConnection::give_up);
  connector_ = std::make_unique<Connector>(loop_, address_, [this](int fd, const std::string& why) {
    connector_.reset();
    if (fd < 0) return failed(why);
    connected(fd);
  });
}

void ChannelConnection::connected(int fd) {
  try {
    std::unique_ptr<Transport> transport = make_socket_transport(fd);
    if (params_.tls)
      transport = params_.tls->secure(std::move(transport), address_.is_unix ? "localhost" : address_.host);
    link_ = std::make_unique<ChannelLink>(loop_, std::move(transport), params_.ping_after,
                                          static_cast<ChannelLinkOwner&>(*this));
  } catch (const std::system_error& error) {
    failed(error.what());
  }
}

void ChannelConnection::give_up() {
  const std::string waits_for = link_ ? "no HTTP/2 settings came" : "no connection was made";
  connector_.reset();
  if (link_) link_->close();
  link_.reset();
  failed(waits_for + " within " + seconds_of(params_.connect_max));
}

void ChannelConnection::on_link_ready(ChannelLink& /*link*/) {
  cancel_timer();
  why_failed_.clear();
  events_.on_ready();
}

void ChannelConnection::on_link_retired(ChannelLink& link) {
  if (&link != link_.get()) return;
  const bool was_ready = link_->is_ready();
  retired_.push_back(std::move(link_));
  if (was_ready) {
    lost("the peer takes no new calls");
  } else {
    failed("the peer takes no calls");
  }
}

void ChannelConnection::on_link_closed(ChannelLink& link, const std::string& why) {
  const bool was_current = &link == link_.get();
  const std::unique_ptr<ChannelLink> ended = take(link);
  events_.on_end(*ended, why);
  if (!was_current) return;
  if (ended->is_ready()) {
    lost(why);
  } else {
    failed(why);
  }
}

void ChannelConnection::lost(const std::string& why) {
  const TimeNs now = steady_now();
  if (now - begun_ < pause_) return failed(why);
  pause_ = params_.reconnect_first;
  connect();
}

void ChannelConnection::failed(const std::string& why) {
  why_failed_ = why;
  connect_at(std::max(steady_now(), begun_ + pause_));
  pause_ = std::min(2 * pause_, params_.reconnect_max);
  events_.on_failed(why);
}

void ChannelConnection::connect_at(TimeNs when) { set_timer(when, &ChannelConnection::connect); }

void ChannelConnection::set_timer(TimeNs when, void (ChannelConnection::*then)()) {
  cancel_timer();
  timer_ = loop_.call_at(when, [this, then] {
    timer_.reset();
    (this->*then)();
  });
}

void ChannelConnection::cancel_timer() {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
}

std::unique_ptr<ChannelLink> ChannelConnection::take(const ChannelLink& link) {
  if (&link == link_.get()) return std::move(link_);
  const auto found =
      std::find_if(retired_.begin(), retired_.end(), [&link](const auto& each) { return each.get() == &link; });
  std::unique_ptr<ChannelLink> taken = std::move(*found);
  retired_.erase(found);
  return taken;
}

}  // namespace mark::net
