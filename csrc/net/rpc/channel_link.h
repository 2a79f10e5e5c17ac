// One connection of a channel: from connected socket to its end, with an eye on whether the peer still lives.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/rpc/event_loop.h"
#include "net/rpc/http2_connection.h"

namespace mark::net {

class ChannelLink;

// Thread safety: none; belongs to its event loop.
class ChannelLinkOwner {
 public:
  virtual void on_link_ready(ChannelLink& link) = 0;    // the peer speaks HTTP/2
  virtual void on_link_retired(ChannelLink& link) = 0;  // the peer takes no new calls
  // Its streams have been told. The link may be destroyed.
  virtual void on_link_closed(ChannelLink& link, const std::string& why) = 0;

 protected:
  ~ChannelLinkOwner() = default;
};

// Thread safety: none; belongs to its event loop.
//
// Invariants
//   - a peer of which nothing was read for `ping_after` while calls wait is asked with a PING; when as much time again
//     brings nothing, the link is closed;
//   - a server that answers PINGs but no call gets two of them and then one in five minutes: gRPC servers take more for
//     a flood.
class ChannelLink final : private Http2Owner {
 public:
  ChannelLink(EventLoop& loop, std::unique_ptr<Transport> transport, DurationNs ping_after, ChannelLinkOwner& owner);
  ~ChannelLink();
  ChannelLink(const ChannelLink&) = delete;
  ChannelLink& operator=(const ChannelLink&) = delete;

  bool is_ready() const { return ready_; }
  bool has_room() const;  // for one stream more
  Http2Connection& connection() { return *connection_; }

  StreamId open(std::span<const HeaderView> headers, std::unique_ptr<StreamHandler> handler);
  void heard();   // an answer, or a part of one
  void retire();  // ends once its streams have
  void close();   // the owner is not told

 private:
  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override;
  void on_settings(Http2Connection& connection) override;
  void on_go_away(Http2Connection& connection) override;
  void on_connection_closed(Http2Connection& connection, std::string_view why) override;

  void watch_over(TimeNs when);
  void look();
  void ping(TimeNs now);

  EventLoop& loop_;
  const DurationNs ping_after_;
  ChannelLinkOwner& owner_;
  std::shared_ptr<Http2Connection> connection_;
  bool ready_ = false;
  bool told_retired_ = false;
  std::optional<EventLoop::TimerId> timer_;
  TimeNs waiting_since_;          // since when calls wait without a pause
  std::optional<TimeNs> pinged_;  // the last time
  int pings_without_answer_ = 0;  // PINGs since the last answer to a call
};

}  // namespace mark::net
