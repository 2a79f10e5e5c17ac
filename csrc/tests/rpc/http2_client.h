// A client for tests of servers: one connection, calls that wait, and whatever else HTTP/2 lets a client do.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loop_thread.h"
#include "net/rpc/grpc_framing.h"
#include "net/rpc/http2_connection.h"
#include "raw_frames.h"

namespace mark::net {

constexpr std::string_view kEchoPath = "/test.Echo/Call";
constexpr std::chrono::seconds kTestPatience{20};

// A blocking connection to "127.0.0.1:port", "[::1]:port" or "unix:/path".
inline int connect_to(const std::string& address) {
  sockaddr_storage place{};
  socklen_t size = 0;
  if (address.starts_with("unix:")) {
    auto& local = reinterpret_cast<sockaddr_un&>(place);
    local.sun_family = AF_UNIX;
    address.substr(5).copy(local.sun_path, sizeof local.sun_path - 1);
    size = sizeof local;
  } else if (address.starts_with("[")) {
    auto& six = reinterpret_cast<sockaddr_in6&>(place);
    six.sin6_family = AF_INET6;
    six.sin6_addr = in6addr_loopback;
    six.sin6_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    size = sizeof six;
  } else {
    auto& four = reinterpret_cast<sockaddr_in&>(place);
    four.sin_family = AF_INET;
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    four.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    size = sizeof four;
  }
  const int fd = socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&place), size) < 0) {
    const int error = errno;
    close(fd);
    throw std::system_error(error, std::generic_category(), address);
  }
  return fd;
}

struct TestResponse {
  std::multimap<std::string, std::string> headers;  // and trailers
  std::string body;
  bool has_ended = false;
  Http2Error error = Http2Error::kNone;

  std::string value(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
  std::string status() const { return value("grpc-status"); }
  std::string message() const { return percent_decoded(value("grpc-message")); }
};

using frames::framed;

// Thread safety: for one test thread; its connection lives on the loop.
class TestClient final : private Http2Owner {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  using Pending = std::future<TestResponse>;

  TestClient(LoopThread& loop, const std::string& address, const Http2Limits& limits = {}) : loop_(loop) {
    const int fd = connect_to(address);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    connection_ = loop_.call([&] {
      return Http2Connection::make(loop_.loop(), make_socket_transport(fd), Http2Connection::Role::kClient, limits,
                                   *this);
    });
  }
  ~TestClient() {
    loop_.call([this] {
      connection_->close();
      connection_.reset();
    });
  }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  static Headers call_headers(std::string_view path) {
    return {{":method", "POST"}, {":scheme", "http"}, {":path", std::string(path)},
            {":authority", "t"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  }

  // Opens a stream; `body` empty and not ended leaves it open for send().
  std::pair<StreamId, Pending> open(const Headers& headers, std::string body, bool ended) {
    auto promise = std::make_shared<std::promise<TestResponse>>();
    Pending pending = promise->get_future();
    const StreamId id = loop_.call([&] {
      std::vector<HeaderView> views;
      views.reserve(headers.size());
      for (const auto& [name, value] : headers) views.push_back({name, value});
      const StreamId made = connection_->open(views, std::make_unique<Stream>(promise), ended && body.empty());
      if (!body.empty()) connection_->send_data(made, Piece(std::move(body)));
      if (ended) connection_->end(made);
      return made;
    });
    return {id, std::move(pending)};
  }
  void send(StreamId id, std::string bytes) {
    loop_.call([&] { connection_->send_data(id, Piece(std::move(bytes))); });
  }
  void end(StreamId id) {
    loop_.call([&] { connection_->end(id); });
  }
  void reset(StreamId id) {
    loop_.call([&] { connection_->reset(id, Http2Error::kCancel); });
  }

  Pending start(std::string_view path, std::string_view message, const Headers& more = {}) {
    Headers headers = call_headers(path);
    headers.insert(headers.end(), more.begin(), more.end());
    return open(headers, framed(message), true).second;
  }
  TestResponse call(std::string_view path, std::string_view message, const Headers& more = {}) {
    return wait(start(path, message, more));
  }
  static TestResponse wait(Pending pending) {
    if (pending.wait_for(kTestPatience) != std::future_status::ready) throw std::runtime_error("no answer");
    return pending.get();
  }

  Http2Connection& connection() { return *connection_; }
  std::future<std::string>& closed() { return closed_future_; }
  std::future<void>& told_to_go() { return went_away_future_; }

 private:
  class Stream final : public StreamHandler {
   public:
    explicit Stream(std::shared_ptr<std::promise<TestResponse>> promise) : promise_(std::move(promise)) {}
    void on_header(std::string_view name, std::string_view value) override { response_.headers.emplace(name, value); }
    void on_headers_end() override {}
    void on_data(std::string_view bytes) override { response_.body.append(bytes); }
    void on_end() override { response_.has_ended = true; }
    void on_closed(Http2Error error) override {
      response_.error = error;
      promise_->set_value(std::move(response_));
    }

   private:
    std::shared_ptr<std::promise<TestResponse>> promise_;
    TestResponse response_;
  };

  std::unique_ptr<StreamHandler> on_stream(Http2Connection& /*connection*/, StreamId /*stream*/) override {
    return nullptr;
  }
  void on_settings(Http2Connection& /*connection*/) override {}
  void on_go_away(Http2Connection& /*connection*/) override {
    if (!std::exchange(gone_, true)) went_away_.set_value();
  }
  void on_connection_closed(Http2Connection& /*connection*/, std::string_view why) override {
    closed_.set_value(std::string(why));
  }

  LoopThread& loop_;
  std::shared_ptr<Http2Connection> connection_;
  std::promise<std::string> closed_;
  std::promise<void> went_away_;
  bool gone_ = false;
  std::future<std::string> closed_future_ = closed_.get_future();
  std::future<void> went_away_future_ = went_away_.get_future();
};

}  // namespace mark::net
