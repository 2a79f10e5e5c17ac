#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "net/rpc/transport.h"

namespace mark::net {

namespace {

class SocketTransport final : public Transport {
 public:
  explicit SocketTransport(int fd) : fd_(fd) {}
  ~SocketTransport() override { close(fd_); }

  int fd() const override { return fd_; }

  IoResult read(std::span<char> into) override {
    ssize_t count = 0;
    do {
      count = recv(fd_, into.data(), into.size(), 0);
    } while (count < 0 && errno == EINTR);
    return result_of(count, /*zero_is_end=*/true);
  }

  IoResult write(std::span<const iovec> pieces) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg changes nothing
    message.msg_iovlen = std::min<std::size_t>(pieces.size(), IOV_MAX);
    ssize_t count = 0;
    do {
      count = sendmsg(fd_, &message, MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    return result_of(count, /*zero_is_end=*/false);
  }

  std::string_view last_error() const override { return error_; }

 private:
  IoResult result_of(ssize_t count, bool zero_is_end) {
    if (count > 0 || (count == 0 && !zero_is_end)) return {IoStatus::kDone, static_cast<std::size_t>(count)};
    // A socket that is still connecting answers EAGAIN as well.
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN || errno == EINPROGRESS)) {
      return {IoStatus::kWouldBlock, 0};
    }
    if (count < 0) error_ = std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): glibc's has a buffer per thread
    return {IoStatus::kClosed, 0};
  }

  int fd_;
  std::string error_;
};

}  // namespace

std::unique_ptr<Transport> make_socket_transport(int fd) { return std::make_unique<SocketTransport>(fd); }

}  // namespace mark::net
