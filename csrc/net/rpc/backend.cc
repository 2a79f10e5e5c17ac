#include "net/rpc/backend.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace mark::net {

namespace {

constexpr std::string_view kUnixScheme = "unix:";

sockaddr_un place_of(const std::string& address) {
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  const std::string_view path = std::string_view(address).substr(std::min(kUnixScheme.size(), address.size()));
  if (!address.starts_with(kUnixScheme) || path.empty() || path.size() >= sizeof place.sun_path) {
    throw std::invalid_argument("calls can be passed on to unix:/path only, not to '" + address + "'");
  }
  path.copy(place.sun_path, path.size());
  return place;
}

}  // namespace

Backend::Backend(EventLoop& loop, std::string address, const Http2Limits& limits)
    : loop_(loop), address_(std::move(address)), limits_(limits) {
  if (exists()) place_of(address_);
}

Backend::~Backend() { close(); }

std::shared_ptr<Http2Connection> Backend::connection() {
  if (current_ != nullptr) return current_->shared_from_this();
  const sockaddr_un place = place_of(address_);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  // A Unix socket is connected at once or not at all.
  if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&place), sizeof place) < 0) {
    last_error_ = std::generic_category().message(errno);
    if (fd >= 0) ::close(fd);
    return nullptr;
  }
  connections_.push_back(
      Http2Connection::make(loop_, make_socket_transport(fd), Http2Connection::Role::kClient, limits_, *this));
  current_ = connections_.back().get();
  return connections_.back();
}

void Backend::close() {
  current_ = nullptr;
  for (const auto& connection : std::exchange(connections_, {})) connection->close();
}

std::unique_ptr<StreamHandler> Backend::on_stream(Http2Connection& /*connection*/, StreamId /*stream*/) {
  return nullptr;  // servers open none
}

void Backend::on_settings(Http2Connection& /*connection*/) {}

void Backend::on_go_away(Http2Connection& connection) {
  if (current_ == &connection) current_ = nullptr;
}

void Backend::on_connection_closed(Http2Connection& connection, std::string_view why) {
  last_error_ = why;
  if (current_ == &connection) current_ = nullptr;
  std::erase_if(connections_, [&](const auto& one) { return one.get() == &connection; });
}

}  // namespace mark::net
