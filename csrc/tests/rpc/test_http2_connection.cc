#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/rpc/http2_connection.h"

namespace mark::net {

namespace {

using namespace std::chrono_literals;

// Gives at most so many bytes to each read: every split of a frame comes up.
class SlowTransport final : public Transport {
 public:
  SlowTransport(int fd, std::size_t at_once) : under_(make_socket_transport(fd)), at_once_(at_once) {}
  int fd() const override { return under_->fd(); }
  IoResult read(std::span<char> into) override { return under_->read(into.first(std::min(at_once_, into.size()))); }
  IoResult write(std::span<const iovec> pieces) override { return under_->write(pieces); }
  std::string_view last_error() const override { return under_->last_error(); }

 private:
  std::unique_ptr<Transport> under_;
  std::size_t at_once_;
};

// What a stream's handler was told, kept by the test.
struct Heard {
  std::vector<std::pair<std::string, std::string>> headers;
  int header_blocks = 0;
  std::string body;
  bool ended = false;
  int closed = 0;
  Http2Error error = Http2Error::kNone;
};

class Listener final : public StreamHandler {
 public:
  Listener(
      Heard& heard, std::function<void()> on_end, std::function<void()> on_close = [] {})
      : heard_(heard), on_end_(std::move(on_end)), on_close_(std::move(on_close)) {}
  void on_header(std::string_view name, std::string_view value) override { heard_.headers.emplace_back(name, value); }
  void on_headers_end() override { ++heard_.header_blocks; }
  void on_data(std::string_view bytes) override { heard_.body.append(bytes); }
  void on_end() override {
    heard_.ended = true;
    on_end_();
  }
  void on_closed(Http2Error error) override {
    ++heard_.closed;
    heard_.error = error;
    on_close_();
  }

 private:
  Heard& heard_;
  std::function<void()> on_end_;
  std::function<void()> on_close_;
};

class Owner final : public Http2Owner {
 public:
  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override {
    return make_stream ? make_stream(connection, stream) : nullptr;
  }
  void on_settings(Http2Connection& /*connection*/) override { ++settings; }
  void on_go_away(Http2Connection& /*connection*/) override { ++go_aways; }
  void on_connection_closed(Http2Connection& /*connection*/, std::string_view why) override {
    ++closed;
    reason = why;
    if (on_close) on_close();
  }

  std::function<std::unique_ptr<StreamHandler>(Http2Connection&, StreamId)> make_stream;
  std::function<void()> on_close;
  int settings = 0;
  int go_aways = 0;
  int closed = 0;
  std::string reason;
};

// A client and a server on one loop, each at one end of a socket.
struct Pair {
  explicit Pair(std::size_t bytes_at_once = 1 << 20, const Http2Limits& limits = {}) {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    client = Http2Connection::make(loop, std::make_unique<SlowTransport>(ends[0], bytes_at_once),
                                   Http2Connection::Role::kClient, limits, client_owner);
    server = Http2Connection::make(loop, std::make_unique<SlowTransport>(ends[1], bytes_at_once),
                                   Http2Connection::Role::kServer, limits, server_owner);
    server_owner.make_stream = [this](Http2Connection& /*connection*/, StreamId id) {
      server_stream = id;
      return std::make_unique<Listener>(server_heard, [this] { on_request(); }, [this] { on_server_closed(); });
    };
    loop.call_at(steady_now() + 20s, [this] {
      timed_out = true;
      loop.stop();
    });
  }
  ~Pair() {
    client->close();
    server->close();
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  StreamId open(bool ended) {
    const std::array<HeaderView, 4> headers{
        {{":method", "POST"}, {":scheme", "http"}, {":path", "/a/b"}, {":authority", "x"}}};
    return client->open(headers,
                        std::make_unique<Listener>(client_heard, [] {}, [this] { on_client_closed(); }), ended);
  }
  void run() {
    loop.run();
    CHECK_FALSE(timed_out);
  }

  EventLoop loop;
  Owner client_owner;
  Owner server_owner;
  std::shared_ptr<Http2Connection> client;
  std::shared_ptr<Http2Connection> server;
  Heard client_heard;
  Heard server_heard;
  StreamId server_stream{};
  std::function<void()> on_request = [] {};
  std::function<void()> on_server_closed = [] {};
  std::function<void()> on_client_closed = [this] { loop.stop(); };
  bool timed_out = false;
};

constexpr std::array<HeaderView, 2> kHeaders{{{":status", "200"}, {"x-one", "1", true}}};
constexpr std::array<HeaderView, 2> kTrailers{{{"grpc-status", "0", true}, {"x-two", "2"}}};

TEST_CASE("a request and its response, in whatever pieces they come") {
  for (const std::size_t at_once :
       {std::size_t{1}, std::size_t{2}, std::size_t{9}, std::size_t{10}, std::size_t{100'000}}) {
    Pair pair(at_once);
    const std::string message(at_once < 100 ? 3'000 : 3'000'000, 'm');
    pair.on_request = [&] {
      pair.server->send_headers(pair.server_stream, kHeaders, false);
      pair.server->send_data(pair.server_stream, Piece(pair.server_heard.body));
      pair.server->send_data(pair.server_stream, Piece(std::string()));
      pair.server->end_with(pair.server_stream, kTrailers);
    };
    const StreamId id = pair.open(false);
    pair.client->send_data(id, Piece(message));
    pair.client->end(id);
    pair.run();
    CHECK(pair.server_heard.headers.at(2) == std::pair<std::string, std::string>(":path", "/a/b"));
    CHECK(pair.server_heard.body == message);
    CHECK(pair.client_heard.body == message);
    CHECK(pair.client_heard.header_blocks == 2);
    CHECK(pair.client_heard.headers.back() == std::pair<std::string, std::string>("x-two", "2"));
    CHECK(pair.client_heard.ended);
    CHECK(pair.client_heard.closed == 1);
    CHECK(pair.server_heard.closed == 1);
    CHECK(pair.client_heard.error == Http2Error::kNone);
    CHECK(pair.client->open_streams() == 0);
    CHECK(pair.server->unsent_bytes() == 0);
    CHECK(pair.client_owner.settings == 1);
  }
}

TEST_CASE("an answer before the end of the request is whole, and the rest of the request is not wanted") {
  Pair pair;
  pair.server_owner.make_stream = [&](Http2Connection& connection, StreamId stream) {
    pair.loop.defer([&connection, stream] { connection.send_headers(stream, kHeaders, true); });
    return std::make_unique<Listener>(pair.server_heard, [] {});
  };
  pair.open(false);
  pair.run();
  CHECK(pair.client_heard.ended);
  CHECK(pair.client_heard.error == Http2Error::kNone);
  CHECK(pair.server_heard.closed == 1);
}

TEST_CASE("either side may reset a stream") {
  Pair by_client;
  by_client.on_client_closed = [] {};
  by_client.on_server_closed = [&] { by_client.loop.stop(); };
  const StreamId id = by_client.open(false);
  // Once the server has it: a stream that is reset before it has left is never sent.
  by_client.server_owner.make_stream = [&](Http2Connection& /*connection*/, StreamId /*stream*/) {
    by_client.loop.defer([&] { by_client.client->reset(id, Http2Error::kCancel); });
    return std::make_unique<Listener>(by_client.server_heard, [] {}, [&] { by_client.on_server_closed(); });
  };
  by_client.run();
  CHECK(by_client.server_heard.error == Http2Error::kCancel);
  CHECK(by_client.client_heard.closed == 1);
  CHECK(by_client.server->counts().resets_received == 1);

  Pair by_server;
  by_server.on_request = [&] { by_server.server->reset(by_server.server_stream, Http2Error::kInternal); };
  by_server.open(true);
  by_server.run();
  CHECK(by_server.client_heard.error == Http2Error::kInternal);
  CHECK(by_server.server_heard.closed == 1);
}

TEST_CASE("a stream that nobody wants is refused") {
  Pair pair;
  pair.server_owner.make_stream = nullptr;
  pair.open(true);
  pair.run();
  CHECK(pair.client_heard.error == Http2Error::kRefusedStream);
}

TEST_CASE("what is done to a stream that is closed changes nothing") {
  Pair pair;
  pair.on_request = [&] { pair.server->send_headers(pair.server_stream, kHeaders, true); };
  const StreamId id = pair.open(true);
  pair.run();
  pair.server->send_headers(pair.server_stream, kHeaders, false);
  pair.server->send_data(pair.server_stream, Piece(std::string("late")));
  pair.server->end_with(pair.server_stream, kTrailers);
  pair.server->reset(pair.server_stream, Http2Error::kCancel);
  pair.client->send_data(id, Piece(std::string("late")));
  pair.client->end(id);
  CHECK(pair.server->unsent_bytes() == 0);
  CHECK(pair.client->unsent_bytes() == 0);
}

TEST_CASE("when a side closes, the other hears of each stream once and then of the connection") {
  Pair pair;
  pair.on_client_closed = [] {};
  pair.client_owner.on_close = [&] { pair.loop.stop(); };
  pair.on_request = [&] {
    pair.loop.defer([&] {
      pair.server->close();
      // Its descriptor is open as long as it is held. In the next turn: the client still writes at the end of this one.
      pair.loop.post([&] { shutdown(pair.server->transport().fd(), SHUT_RDWR); });
    });
  };
  pair.open(true);
  pair.run();
  CHECK(pair.server_heard.closed == 1);
  CHECK(pair.server_owner.closed == 0);  // it closed it itself
  CHECK(pair.client_heard.closed == 1);
  CHECK(pair.client_heard.error == Http2Error::kCancel);
  CHECK(pair.client_owner.closed == 1);
  CHECK(pair.client_owner.reason == "the peer ended the connection");
  CHECK_FALSE(pair.client->is_open());
  CHECK(pair.open(true) == StreamId{-1});
}

TEST_CASE("a connection that says goodbye ends with its streams") {
  Pair pair;
  pair.on_client_closed = [] {};
  pair.server_owner.on_close = [&] { pair.loop.stop(); };
  pair.on_request = [&] {
    pair.server->announce_end();
    pair.loop.call_at(steady_now() + 1ms, [&] {
      pair.server->go_away();
      pair.server->send_headers(pair.server_stream, kHeaders, true);
    });
  };
  pair.open(true);
  pair.run();
  CHECK(pair.client_heard.ended);
  CHECK(pair.client_owner.go_aways >= 1);
  CHECK_FALSE(pair.server->is_hostile());
}

TEST_CASE("what a peer does not read stays within bounds, and all of it comes in the end") {
  Http2Limits limits;
  limits.unsent_bytes_max = 65'536;
  Pair pair(1 << 20, limits);
  constexpr std::size_t kBytes = 8 << 20;
  pair.on_request = [&] {
    pair.server->send_headers(pair.server_stream, kHeaders, false);
    pair.server->send_data(pair.server_stream, Piece(std::string(kBytes, 'x')));
    pair.server->end(pair.server_stream);
  };
  pair.open(true);
  pair.run();
  CHECK(pair.client_heard.body.size() == kBytes);
}

TEST_CASE("a header block beyond the limit ends the connection, and not the process") {
  Http2Limits limits;
  limits.header_bytes_max = 1000;
  Pair pair(1 << 20, limits);
  pair.server_owner.on_close = [&] { pair.loop.stop(); };
  pair.on_client_closed = [] {};
  const std::string large(2000, 'x');
  const std::array<HeaderView, 5> headers{
      {{":method", "POST"}, {":scheme", "http"}, {":path", "/a/b"}, {":authority", "x"}, {"large", large}}};
  pair.client->open(headers, std::make_unique<Listener>(pair.client_heard, [] {}), true);
  pair.run();
  CHECK(pair.server->is_hostile());
  CHECK(pair.server_heard.closed == 1);
  CHECK(pair.server_owner.reason == "a header block is larger than the limit");
}

TEST_CASE("a peer that speaks no HTTP/2 is hostile") {
  std::array<int, 2> ends{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
  EventLoop loop;
  Owner owner;
  owner.on_close = [&] { loop.stop(); };
  const auto server =
      Http2Connection::make(loop, make_socket_transport(ends[0]), Http2Connection::Role::kServer, {}, owner);
  REQUIRE(write(ends[1], "GET / HTTP/1.1\r\n\r\n", 18) == 18);
  loop.run();
  CHECK(server->is_hostile());
  CHECK(owner.closed == 1);
  close(ends[1]);
}

}  // namespace

}  // namespace mark::net
