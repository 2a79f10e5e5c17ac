#include <doctest/doctest.h>
#include <sys/epoll.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "echo_server.h"
#include "http2_client.h"
#include "net/rpc/listener.h"

namespace mark::net {

namespace {

// A server that echoes the way streaming methods do, and one in front of it that passes on.
//
// "/back/echo" answers with headers at once, sends back what comes as it comes, and ends with trailers once the client
// does; "/back/refuse" answers with one block; "/back/sink" reads nothing that is not asked for; "/back/source" sends
// 8 MiB; "/back/reset" resets.
class BackServer final : public Http2Owner {
 public:
  explicit BackServer(const std::string& address) : listener_(address) {
    thread_.call([this] {
      thread_.loop().watch(listener_.fd(), EPOLLIN, acceptor_);
      return 0;
    });
  }
  ~BackServer() {
    thread_.call([this] {
      thread_.loop().unwatch(listener_.fd());
      for (const auto& connection : connections_) connection->close();
      connections_.clear();
      return 0;
    });
  }
  BackServer(const BackServer&) = delete;
  BackServer& operator=(const BackServer&) = delete;

  void release_sinks() {
    thread_.call([this] {
      for (Stream* const sink : sinks_) sink->release();
      return 0;
    });
  }
  std::size_t sunk_bytes() {
    return thread_.call([this] { return sunk_; });
  }
  int streams() {
    return thread_.call([this] { return streams_; });
  }
  int resets() {
    return thread_.call([this] { return resets_; });
  }
  void break_connections() {
    thread_.call([this] {
      for (const auto& connection : connections_) connection->close();
      connections_.clear();
      return 0;
    });
  }
  void say_goodbye() {
    thread_.call([this] {
      for (const auto& connection : connections_) connection->go_away();
      return 0;
    });
  }
  std::size_t connections() {
    return thread_.call([this] { return connections_.size(); });
  }
  std::string last_metadata() {
    return thread_.call([this] { return metadata_; });
  }

 private:
  class Stream final : public StreamHandler {
   public:
    Stream(BackServer& server, Http2Connection& connection, StreamId id)
        : server_(server), connection_(connection), id_(id) {}
    void on_header(std::string_view name, std::string_view value) override {
      if (name == ":path") path_ = value;
      if (name == "x-metadata") server_.metadata_ = value;
    }
    void on_headers_end() override {
      const std::vector<HeaderView> headers{{":status", "200"}, {"content-type", "application/grpc"}, {"x-early", "1"}};
      if (path_ == "/back/refuse") {
        connection_.send_headers(id_, std::vector<HeaderView>{{":status", "200"}, {"grpc-status", "7"}}, true);
      } else if (path_ == "/back/reset") {
        connection_.reset(id_, Http2Error::kInternal);
      } else if (path_ != "/back/silent") {
        connection_.send_headers(id_, headers, false);
      }
      if (path_ == "/back/source") connection_.send_data(id_, Piece(std::string(8 << 20, 's')));
      if (path_ == "/back/sink") {
        connection_.hold(id_);
        server_.sinks_.push_back(this);
      }
    }
    void on_data(std::string_view bytes) override {
      if (path_ == "/back/echo") connection_.send_data(id_, Piece(std::string(bytes)));
      if (path_ == "/back/sink") {
        server_.sunk_ += bytes.size();
        if (released_) {
          connection_.consume(id_, bytes.size());
        } else {
          waiting_ += bytes.size();
        }
      }
    }
    void on_end() override {
      connection_.end_with(id_, std::vector<HeaderView>{{"grpc-status", "0"}, {"x-late", "2"}});
    }
    void on_closed(Http2Error error) override {
      if (error != Http2Error::kNone) ++server_.resets_;
      std::erase(server_.sinks_, this);
    }
    void release() {
      released_ = true;
      connection_.consume(id_, std::exchange(waiting_, 0));
    }

   private:
    BackServer& server_;
    Http2Connection& connection_;
    const StreamId id_;
    std::string path_;
    std::size_t waiting_ = 0;
    bool released_ = false;
  };
  class Acceptor final : public FdWatcher {
   public:
    explicit Acceptor(BackServer& server) : server_(server) {}
    void on_ready(std::uint32_t /*epoll_events*/) override {
      const int fd = server_.listener_.accept();
      if (fd < 0) return;
      server_.connections_.push_back(Http2Connection::make(server_.thread_.loop(), make_socket_transport(fd),
                                                           Http2Connection::Role::kServer, {}, server_));
    }

   private:
    BackServer& server_;
  };

  std::unique_ptr<StreamHandler> on_stream(Http2Connection& connection, StreamId stream) override {
    ++streams_;
    return std::make_unique<Stream>(*this, connection, stream);
  }
  void on_settings(Http2Connection& /*connection*/) override {}
  void on_go_away(Http2Connection& /*connection*/) override {}
  void on_connection_closed(Http2Connection& connection, std::string_view /*why*/) override {
    std::erase_if(connections_, [&](const auto& one) { return one.get() == &connection; });
  }

  Listener listener_;
  Acceptor acceptor_{*this};
  std::vector<std::shared_ptr<Http2Connection>> connections_;
  std::vector<Stream*> sinks_;
  std::size_t sunk_ = 0;
  int streams_ = 0;
  int resets_ = 0;
  std::string metadata_;
  LoopThread thread_;
};

struct Front {
  Front() : path(std::filesystem::temp_directory_path() / ("mark-back-" + std::to_string(getpid()))) {
    back = std::make_unique<BackServer>(address());
    GrpcServerParams params = echo_params();
    params.pass_on_to = address();
    echo = std::make_unique<EchoServer>(params);
    client = std::make_unique<TestClient>(loop, echo->server.address());
  }
  std::string address() const { return "unix:" + path.string(); }
  std::pair<StreamId, TestClient::Pending> open(const std::string& method, std::string body, bool ended) {
    return client->open(TestClient::call_headers("/back/" + method), std::move(body), ended);
  }

  std::filesystem::path path;
  std::unique_ptr<BackServer> back;
  std::unique_ptr<EchoServer> echo;
  LoopThread loop;
  std::unique_ptr<TestClient> client;
};

TEST_CASE("a call without a handler is passed on, with its headers, data and trailers, both ways") {
  Front front;
  TestClient::Headers headers = TestClient::call_headers("/back/echo");
  headers.emplace_back("x-metadata", "value");
  headers.emplace_back("grpc-timeout", "10S");
  auto [stream, pending] = front.client->open(headers, "first", false);
  front.client->send(stream, "second");
  front.client->end(stream);
  const TestResponse response = TestClient::wait(std::move(pending));
  CHECK(response.body == "firstsecond");
  CHECK(response.value("x-early") == "1");
  CHECK(response.value("x-late") == "2");
  CHECK(response.status() == "0");
  CHECK(front.back->last_metadata() == "value");
  CHECK(front.client->call(kEchoPath, "own").body == framed("own"));
  CHECK(front.echo->server.counts().calls_passed_on == 1);
}

TEST_CASE("many at once, large ones too") {
  Front front;
  std::vector<TestClient::Pending> pending;
  pending.reserve(200);
  for (std::size_t i = 0; i < 200; ++i) pending.push_back(front.open("echo", std::string(i * 1000, 'x'), true).second);
  for (std::size_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    CHECK(TestClient::wait(std::move(pending[i])).body.size() == i * 1000);
  }
  CHECK(TestClient::wait(front.open("source", "", true).second).body.size() == 8 << 20);
  const TestResponse large = TestClient::wait(front.open("echo", std::string(32 << 20, 'x'), true).second);
  CHECK(large.body.size() == 32 << 20);
}

TEST_CASE("a failure in one block, and a reset, are passed on as such") {
  Front front;
  const TestResponse refused = TestClient::wait(front.open("refuse", "", true).second);
  CHECK(refused.status() == "7");
  CHECK(refused.has_ended);
  const TestResponse reset = TestClient::wait(front.open("reset", "x", false).second);
  CHECK(reset.error == Http2Error::kInternal);
}

TEST_CASE("a client that leaves is heard of behind") {
  Front front;
  auto [stream, pending] = front.open("echo", "x", false);
  CHECK(comes_true([&] { return front.back->streams() == 1; }));
  front.client->reset(stream);
  TestClient::wait(std::move(pending));
  CHECK(comes_true([&] { return front.back->resets() == 1; }));
  {
    auto [other, unheard] = front.open("silent", "x", false);
    CHECK(comes_true([&] { return front.back->streams() == 2; }));
    front.client.reset();
  }
  CHECK(comes_true([&] { return front.back->resets() == 2; }));
}

TEST_CASE("a server behind that does not read stops the client, and nobody else") {
  Front front;
  constexpr std::size_t kBytes = 64 << 20;
  auto [stream, pending] = front.open("sink", std::string(kBytes, 'x'), true);
  CHECK(front.client->call(kEchoPath, "own").status() == "0");
  CHECK(TestClient::wait(front.open("echo", "other", true).second).body == "other");
  // The window of each of the two streams, and no more.
  CHECK(comes_true([&] { return front.back->sunk_bytes() >= std::size_t{1} << 20U; }));
  CHECK(front.client->call(kEchoPath, "own").status() == "0");
  const std::size_t unsent = front.loop.call([&] { return front.client->connection().unsent_bytes(stream); });
  CHECK(unsent >= kBytes - (std::size_t{3} << 20U));
  front.back->release_sinks();
  CHECK(TestClient::wait(std::move(pending)).status() == "0");
  CHECK(front.back->sunk_bytes() == kBytes);
}

TEST_CASE("when the server behind is not there, a call is answered so, and the next one finds it again") {
  Front front;
  auto [stream, pending] = front.open("echo", "x", false);
  auto [silent_stream, silent] = front.open("silent", "x", false);
  CHECK(comes_true([&] { return front.echo->server.counts().calls_passed_on == 2 && front.back->connections() == 1; }));
  TestClient::wait(front.open("echo", "x", true).second);
  front.back->break_connections();
  CHECK(TestClient::wait(std::move(pending)).status() == "14");
  CHECK(TestClient::wait(std::move(silent)).status() == "14");
  CHECK(TestClient::wait(front.open("echo", "again", true).second).body == "again");
  front.back.reset();
  const TestResponse gone = TestClient::wait(front.open("echo", "x", true).second);
  CHECK(gone.status() == "14");
  CHECK(gone.message().starts_with("the server that answers this method is not there"));
  CHECK(front.client->call(kEchoPath, "own").status() == "0");
  front.back = std::make_unique<BackServer>(front.address());
  CHECK(TestClient::wait(front.open("echo", "back", true).second).body == "back");
}

TEST_CASE("a server behind that says goodbye ends what it has begun, and a new connection takes what follows") {
  Front front;
  auto [stream, pending] = front.open("echo", "x", false);
  CHECK(comes_true([&] { return front.back->connections() == 1; }));
  TestClient::wait(front.open("echo", "x", true).second);
  front.back->say_goodbye();
  CHECK(comes_true([&] {
    return TestClient::wait(front.open("echo", "y", true).second).body == "y" && front.back->connections() == 2;
  }));
  front.client->send(stream, "z");
  front.client->end(stream);
  CHECK(TestClient::wait(std::move(pending)).body == "xz");
}

TEST_CASE("what is passed on can be in any state when the server stops") {
  Front front;
  auto [one, first] = front.open("echo", "x", false);
  auto [two, second] = front.open("silent", "x", true);
  auto [three, third] = front.open("sink", std::string(8 << 20, 'x'), true);
  CHECK(comes_true([&] { return front.echo->server.counts().calls_passed_on == 3; }));
  front.echo->server.stop();
  for (TestClient::Pending* const one_pending : {&first, &second, &third}) {
    CHECK(TestClient::wait(std::move(*one_pending)).error != Http2Error::kNone);
  }
}

TEST_CASE("calls can be passed on to a Unix socket only") {
  GrpcServerParams params = echo_params();
  params.pass_on_to = "127.0.0.1:80";
  CHECK_THROWS_AS(GrpcServer{params}, std::invalid_argument);
}

}  // namespace

}  // namespace mark::net
