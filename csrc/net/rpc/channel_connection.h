// What keeps a channel connected: attempts with growing pauses, and the links that are, or were, its connection.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/rpc/channel_link.h"
#include "net/rpc/connector.h"
#include "net/rpc/grpc_channel.h"

namespace mark::net {

// Thread safety: none; belongs to its event loop.
//
// Invariants
//   - at most one attempt is under way, and none while a link is there that takes calls;
//   - attempts begin no closer to one another than the pause, which doubles with each that fails, or whose connection
//     stood for less than it, and begins anew after one that stood for longer.
class ChannelConnection final : private ChannelLinkOwner {
 public:
  struct Events {
    std::function<void()> on_ready;                                // link() takes calls
    std::function<void(const std::string& why)> on_failed;         // an attempt, or a connection that stood too short
    std::function<void(ChannelLink&, const std::string&)> on_end;  // of a link whose streams have been told
  };

  // Throws std::invalid_argument when the address is none.
  ChannelConnection(EventLoop& loop, const GrpcChannelParams& params, Events events);
  ~ChannelConnection();
  ChannelConnection(const ChannelConnection&) = delete;
  ChannelConnection& operator=(const ChannelConnection&) = delete;

  ChannelLink* link() { return link_ && link_->is_ready() ? link_.get() : nullptr; }
  bool is_ready() const { return link_ && link_->is_ready(); }
  // Empty while there is reason to hope: connected, or at the first attempt since.
  const std::string& why_failed() const { return why_failed_; }
  const std::string& authority() const { return authority_; }

  void begin() { connect(); }
  void retrust(std::shared_ptr<TlsContext> tls);
  void close();

 private:
  void on_link_ready(ChannelLink& link) override;
  void on_link_retired(ChannelLink& link) override;
  void on_link_closed(ChannelLink& link, const std::string& why) override;

  void connect();
  void connected(int fd);
  void give_up();
  void failed(const std::string& why);
  void lost(const std::string& why);
  void connect_at(TimeNs when);
  void set_timer(TimeNs when, void (ChannelConnection::*then)());
  void cancel_timer();
  std::unique_ptr<ChannelLink> take(const ChannelLink& link);

  EventLoop& loop_;
  GrpcChannelParams params_;
  const PeerAddress address_;
  const Events events_;
  std::string authority_;
  std::unique_ptr<Connector> connector_;
  std::unique_ptr<ChannelLink> link_;
  std::vector<std::unique_ptr<ChannelLink>> retired_;
  std::optional<EventLoop::TimerId> timer_;  // of the next attempt, or of the patience with this one
  TimeNs begun_;                             // the last attempt
  DurationNs pause_;
  std::string why_failed_;
};

}  // namespace mark::net
