#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "net/rpc/grpc_channel.h"
#include "rpc/scripted_peer.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using Request = ScriptedPeer::Request;

constexpr std::string_view kPath = "/inference.GRPCInferenceService/ModelInfer";
constexpr auto kSoon = 5s;

std::vector<Piece> pieces(std::vector<std::string> texts) {
  std::vector<Piece> made;
  made.reserve(texts.size());
  for (std::string& text : texts) made.emplace_back(std::move(text));
  return made;
}

void echo(const Request& request) { ScriptedPeer::answer(request, request.message()); }

// A channel to a scripted peer, and the results of its calls in the order in which they came.
struct Fixture {
  explicit Fixture(ScriptedPeer::Script script, const std::string& address = "127.0.0.1:0")
      : peer(loop, address, std::move(script)) {}

  GrpcChannel& channel() {
    if (!made) made.emplace(loop, params());
    return *made;
  }
  GrpcChannelParams params() {
    tuned.address = peer.address();
    return tuned;
  }
  ChannelCallId call(std::string message, DurationNs timeout = kSoon) {
    return channel().call(kPath, pieces({std::move(message)}), steady_now() + timeout,
                          [this](CallResult result) { results.push_back(std::move(result)); });
  }
  CallResult answered(std::string message) {
    results.clear();
    call(std::move(message));
    run_until(loop, [this] { return !results.empty(); });
    return results.front();
  }
  void until_results(std::size_t count) {
    run_until(loop, [this, count] { return results.size() >= count; });
  }
  void until_connected() {
    run_until(loop, [this] { return channel().is_connected(); });
  }

  EventLoop loop;
  ScriptedPeer peer;
  GrpcChannelParams tuned{.address = {}, .tls = nullptr};
  std::optional<GrpcChannel> made;
  std::vector<CallResult> results;
};

TEST_CASE("a call is answered over TCP, by name and over a Unix socket") {
  const std::string path = "/tmp/mark-channel-" + std::to_string(getpid()) + ".sock";
  for (const std::string& address : {"127.0.0.1:0"s, "localhost:0"s, "unix:" + path}) {
    CAPTURE(address);
    Fixture fixture(echo, address);
    const CallResult result = fixture.answered("hello");
    CHECK(result.status.code == StatusCode::kOk);
    CHECK(result.message == "hello");
    CHECK(fixture.channel().calls_in_flight() == 0);
  }
}

TEST_CASE("what gRPC asks for is in the headers, the remaining time with it") {
  std::map<std::string, std::string> seen;
  Fixture fixture([&seen](const Request& request) {
    seen = request.headers;
    echo(request);
  });
  fixture.answered("x");
  CHECK(seen[":method"] == "POST");
  CHECK(seen[":path"] == kPath);
  CHECK(seen[":authority"] == fixture.peer.address());
  CHECK(seen["te"] == "trailers");
  CHECK(seen["content-type"] == "application/grpc");
  const auto timeout = parse_grpc_timeout(seen["grpc-timeout"]);
  REQUIRE(timeout);
  CHECK(*timeout <= kSoon);
  CHECK(*timeout > 1s);
}

TEST_CASE("a message in pieces arrives whole, however large, and so does its answer") {
  Fixture fixture(echo);
  const std::string large(3'000'000, 'a');
  std::optional<CallResult> result;
  fixture.channel().call(kPath, pieces({"one", large, "two", "", large, "three"}), TimeNs::max(),
                         [&result](CallResult got) { result = std::move(got); });
  run_until(fixture.loop, [&result] { return result.has_value(); });
  CHECK(result->status.code == StatusCode::kOk);
  CHECK(result->message == std::string("one").append(large).append("two").append(large).append("three"));
}

TEST_CASE("many calls on one connection, no more at once than the peer allows, in order") {
  std::vector<std::string> begun;
  std::size_t most = 0;
  std::vector<Request> open;
  Fixture fixture([&](const Request& request) {
    begun.push_back(request.message());
    open.push_back(request);
    most = std::max(most, request.connection->open_streams());
    if (open.size() < 3) return;
    for (const Request& each : std::exchange(open, {})) echo(each);
  });
  fixture.peer.limits.streams_max = 3;
  std::vector<std::string> sent;
  for (int i = 0; i < 30; ++i) {
    sent.push_back(std::to_string(i));
    fixture.call(sent.back());
  }
  fixture.until_results(30);
  CHECK(begun == sent);
  CHECK(most == 3);
  CHECK(fixture.peer.accepted == 1);
}

TEST_CASE("a status comes with its text and its trailing metadata, after a message or without any") {
  Fixture fixture([](const Request& request) {
    if (request.message() == "only") {
      ScriptedPeer::only(request, {{":status", "200"},
                                   {"content-type", "application/grpc"},
                                   {"grpc-status", "8"},
                                   {"grpc-message", "50%25 f%C3%BCr dich"},
                                   {"grpc-retry-pushback-ms", "20"}});
    } else {
      ScriptedPeer::send_head(request, {{"initial", "1"}});
      ScriptedPeer::end(request, {{"grpc-status", "3"}, {"grpc-message", "no"}, {"trailing", "2"}});
    }
  });
  const CallResult only = fixture.answered("only");
  CHECK(only.status.code == StatusCode::kResourceExhausted);
  CHECK(only.status.message == "50% für dich");
  CHECK(only.status.metadata == std::vector<std::pair<std::string, std::string>>{{"grpc-retry-pushback-ms", "20"}});
  const CallResult late = fixture.answered("late");
  CHECK(late.status.code == StatusCode::kInvalidArgument);
  CHECK(late.status.metadata == std::vector<std::pair<std::string, std::string>>{{"trailing", "2"}});
}

TEST_CASE("what is no gRPC answer gets the status that gRPC's table gives it") {
  std::string http = "200";
  Fixture fixture([&http](const Request& request) {
    ScriptedPeer::only(request, {{":status", http}, {"content-type", "text/html"}});
  });
  const std::vector<std::pair<std::string, StatusCode>> table{
      {"400", StatusCode::kInternal},         {"401", StatusCode::kUnauthenticated},
      {"403", StatusCode::kPermissionDenied}, {"404", StatusCode::kUnimplemented},
      {"429", StatusCode::kUnavailable},      {"502", StatusCode::kUnavailable},
      {"503", StatusCode::kUnavailable},      {"504", StatusCode::kUnavailable},
      {"200", StatusCode::kUnknown},          {"500", StatusCode::kUnknown}};
  for (const auto& [status, code] : table) {
    CAPTURE(status);
    http = status;
    CHECK(fixture.answered("x").status.code == code);
  }
}

TEST_CASE("an answer that is not one message is an internal error") {
  std::string body;
  Fixture fixture([&body](const Request& request) {
    ScriptedPeer::send_head(request, {});
    if (!body.empty()) ScriptedPeer::send(request, body);
    ScriptedPeer::end(request, {});
  });
  const std::string one = "\0\0\0\0\x01x"s;
  for (const std::string& each : {""s, "\0\0\0\0\x05x"s, "\x07\0\0\0\x01x"s, one + one, "\x01\0\0\0\x01x"s}) {
    body = each;
    const CallResult result = fixture.answered("x");
    CHECK(result.status.code == StatusCode::kInternal);
    CHECK_FALSE(result.status.message.empty());
  }
  body = one;
  CHECK(fixture.answered("x").message == "x");
}

TEST_CASE("a compressed answer is read, and one that is larger than the bound is refused") {
  Fixture fixture([](const Request& request) {
    ScriptedPeer::send_head(request, {{"grpc-encoding", "gzip"}});
    const std::string packed = deflated(request.message(), GrpcEncoding::kGzip);
    auto prefix = message_prefix(packed.size());
    prefix[0] = 1;
    ScriptedPeer::send(request, std::string(prefix.data(), prefix.size()) + packed);
    ScriptedPeer::end(request, {});
  });
  fixture.tuned.message_bytes_max = 1000;
  CHECK(fixture.answered(std::string(1000, 'a')).message == std::string(1000, 'a'));
  const CallResult refused = fixture.answered(std::string(1001, 'a'));
  CHECK(refused.status.code == StatusCode::kResourceExhausted);
  CHECK(refused.status.message.find("larger than max") != std::string::npos);
}

TEST_CASE("a call ends at its deadline, and its stream is reset") {
  Fixture fixture([](const Request& request) {
    if (request.message() == "echo") echo(request);
  });
  fixture.until_connected();  // else the deadline may pass before there is a stream
  fixture.call("never", 30ms);
  fixture.call("never", 20s);
  fixture.until_results(1);
  CHECK(fixture.results[0].status.code == StatusCode::kDeadlineExceeded);
  run_until(fixture.loop, [&fixture] { return fixture.peer.resets == 1; });
  CHECK(fixture.channel().calls_in_flight() == 1);
  CHECK(fixture.answered("echo").message == "echo");
}

TEST_CASE("a call whose deadline is over is not sent") {
  int requests = 0;
  Fixture fixture([&requests](const Request& request) {
    ++requests;
    echo(request);
  });
  fixture.until_connected();
  fixture.call("late", -1ms);
  CHECK(fixture.results.empty());  // never from within call()
  fixture.until_results(1);
  CHECK(fixture.results[0].status.code == StatusCode::kDeadlineExceeded);
  fixture.answered("next");
  CHECK(requests == 1);
}

TEST_CASE("a cancelled call has no result, in whatever stage it is") {
  std::vector<Request> open;
  Fixture fixture([&open](const Request& request) { open.push_back(request); });
  fixture.peer.limits.streams_max = 1;
  const ChannelCallId early = fixture.call("cancelled while connecting");
  fixture.channel().cancel(early);
  fixture.until_connected();
  const ChannelCallId sent = fixture.call("sent");
  const ChannelCallId waits = fixture.call("waits");
  run_until(fixture.loop, [&open] { return open.size() == 1; });
  fixture.channel().cancel(waits);
  fixture.channel().cancel(sent);
  fixture.channel().cancel(sent);  // stale
  run_until(fixture.loop, [&fixture] { return fixture.peer.resets == 1; });
  const ChannelCallId late = fixture.call("late", -1ms);
  fixture.channel().cancel(late);  // it has ended, and its result is not given out yet
  fixture.call("last");
  run_until(fixture.loop, [&open] { return open.size() == 2; });
  CHECK(open[0].message() == "sent");
  CHECK(open[1].message() == "last");
  CHECK(fixture.results.empty());
  CHECK(fixture.channel().calls_in_flight() == 1);
}

TEST_CASE("a broken connection fails what is open, and is made again") {
  Fixture fixture([](const Request& request) {
    if (request.message() == "echo") echo(request);
  });
  fixture.tuned.reconnect_first = 1ms;
  fixture.until_connected();
  fixture.call("never");
  run_for(fixture.loop, 5ms);
  fixture.peer.break_connections();
  fixture.until_results(1);
  CHECK(fixture.results[0].status.code == StatusCode::kUnavailable);
  CHECK(fixture.results[0].status.message.find("broke") != std::string::npos);
  CHECK(fixture.answered("echo").message == "echo");
  CHECK(fixture.peer.accepted == 2);
}

TEST_CASE("without a peer calls end at once and say why; once there is one they are answered") {
  const std::string path = "/tmp/mark-channel-late-" + std::to_string(getpid()) + ".sock";
  EventLoop loop;
  GrpcChannel channel(loop, {.address = "unix:" + path, .tls = nullptr, .reconnect_first = 1ms, .reconnect_max = 5ms});
  std::vector<CallResult> results;
  const auto call = [&] {
    channel.call(kPath, pieces({"x"}), steady_now() + kSoon,
                 [&](const CallResult& result) { results.push_back(result); });
  };
  call();
  run_until(loop, [&] { return results.size() == 1; });
  call();
  run_until(loop, [&] { return results.size() == 2; });
  for (const CallResult& result : results) {
    CHECK(result.status.code == StatusCode::kUnavailable);
    CHECK(result.status.message == "failed to connect to unix:" + path + ": No such file or directory");
  }
  const ScriptedPeer peer(loop, "unix:" + path, echo);
  run_until(loop, [&] { return channel.is_connected(); });
  call();
  run_until(loop, [&] { return results.size() == 3; });
  CHECK(results[2].message == "x");
}

TEST_CASE("a name that does not exist is said, and looked up beside the loop") {
  EventLoop loop;
  GrpcChannel channel(loop, {.address = "no-such-host.invalid:1", .tls = nullptr});
  std::optional<CallResult> result;
  // Without a deadline: a name server that does not answer is waited for.
  channel.call(kPath, pieces({"x"}), TimeNs::max(), [&](CallResult got) { result = std::move(got); });
  run_until(loop, [&] { return result.has_value(); });
  CHECK(result->status.code == StatusCode::kUnavailable);
  CHECK(result->status.message.find("cannot look up \"no-such-host.invalid\"") != std::string::npos);
}

TEST_CASE("what is no address is refused with the forms that there are") {
  EventLoop loop;
  for (const char* address : {"", "host", "host:", ":1", "host:x", "host:70000", "::1:80", "unix:", "[]:1"}) {
    CAPTURE(address);
    CHECK_THROWS_AS(GrpcChannel(loop, {.address = address, .tls = nullptr}), std::invalid_argument);
  }
  const std::string long_path(200, 'a');
  CHECK_THROWS_WITH_AS(GrpcChannel(loop, {.address = "unix:/" + long_path, .tls = nullptr}),
                       doctest::Contains("too long"), std::invalid_argument);
}

TEST_CASE("after GOAWAY what is open goes on, and what comes goes over another connection") {
  std::vector<Request> open;
  Fixture fixture([&open](const Request& request) { open.push_back(request); });
  fixture.tuned.reconnect_first = 1ms;
  fixture.until_connected();
  run_for(fixture.loop, 2ms);
  fixture.call("old");
  run_until(fixture.loop, [&open] { return open.size() == 1; });
  open[0].connection->go_away();
  run_until(fixture.loop, [&fixture] { return fixture.peer.accepted == 2; });
  fixture.call("new");
  run_until(fixture.loop, [&open] { return open.size() == 2; });
  CHECK(open[0].connection != open[1].connection);
  echo(open[1]);
  echo(open[0]);
  fixture.until_results(2);
  CHECK(fixture.results[0].message == "new");
  CHECK(fixture.results[1].message == "old");
  // The old connection ends by itself.
  run_until(fixture.loop, [&fixture] { return fixture.peer.connections().size() == 1; });
}

TEST_CASE("a call that the peer had not begun at GOAWAY fails as unavailable, and says so") {
  Fixture fixture(
      [](const Request& request) { request.connection->reset(request.stream, Http2Error::kRefusedStream); });
  const CallResult result = fixture.answered("x");
  CHECK(result.status.code == StatusCode::kUnavailable);
  CHECK(result.status.message == "the peer has not begun this call, and takes no more");
}

TEST_CASE("resets become the statuses of gRPC's table") {
  Http2Error error = Http2Error::kNone;
  Fixture fixture([&error](const Request& request) { request.connection->reset(request.stream, error); });
  const std::vector<std::pair<Http2Error, StatusCode>> table{
      {Http2Error::kNone, StatusCode::kInternal},
      {Http2Error::kInternal, StatusCode::kInternal},
      {Http2Error::kCancel, StatusCode::kCancelled},
      {Http2Error::kEnhanceYourCalm, StatusCode::kResourceExhausted},
      {Http2Error::kInadequateSecurity, StatusCode::kPermissionDenied}};
  for (const auto& [each, code] : table) {
    error = each;
    CHECK(fixture.answered("x").status.code == code);
  }
}

TEST_CASE("a done may call again, cancel others, close and destroy its channel") {
  Fixture fixture(echo);
  int answers = 0;
  std::optional<GrpcChannel> channel;
  channel.emplace(fixture.loop, fixture.params());
  const auto deadline = steady_now() + kSoon;
  const GrpcChannel::Done count = [&answers](const CallResult&) { ++answers; };
  ChannelCallId other;
  channel->call(kPath, pieces({"a"}), deadline, [&](const CallResult& result) {
    CHECK(result.message == "a");
    channel->cancel(other);
    channel->call(kPath, pieces({"c"}), deadline, [&](const CallResult& last) {
      CHECK(last.message == "c");
      channel->call(kPath, pieces({"d"}), deadline, count);
      channel.reset();
    });
  });
  other = channel->call(kPath, pieces({"b"}), deadline, count);
  run_until(fixture.loop, [&channel] { return !channel.has_value(); });
  run_for(fixture.loop, 5ms);
  CHECK(answers == 0);
}

TEST_CASE("a peer that is silent while calls wait is pinged, and left when it does not answer") {
  std::vector<Request> open;
  Fixture fixture([&open](const Request& request) { open.push_back(request); });
  fixture.tuned.ping_after = 100ms;  // both sides run on this thread: one that stands still is taken for a silent peer
  fixture.until_connected();
  const auto pings = [&fixture] { return fixture.peer.connections()[0]->counts().pings_received; };
  run_for(fixture.loop, 150ms);
  CHECK(pings() == 0);  // nothing waits
  fixture.call("waits", 20s);
  run_until(fixture.loop, [&open] { return open.size() == 1; });
  // It answers pings: the call goes on, and it gets no more than gRPC servers forgive.
  run_until(fixture.loop, [&pings] { return pings() == 2; });
  run_for(fixture.loop, 250ms);
  CHECK(pings() == 2);
  CHECK(fixture.results.empty());
  echo(open[0]);
  fixture.until_results(1);
  CHECK(fixture.results[0].message == "waits");
  // It reads nothing any more.
  fixture.call("lost");
  run_until(fixture.loop, [&open] { return open.size() == 2; });
  fixture.loop.unwatch(fixture.peer.connections()[0]->transport().fd());
  fixture.until_results(2);
  CHECK(fixture.results[1].status.code == StatusCode::kUnavailable);
  CHECK(fixture.results[1].status.message.find("did not answer a ping within 100 ms") != std::string::npos);
}

TEST_CASE("large messages pass both ways at once") {
  // Each side has more unsent than it may: neither may wait for the other to read.
  Fixture fixture(echo);
  const std::string large(8'000'000, 'a');
  for (int i = 0; i < 6; ++i) fixture.call(large, 20s);
  fixture.until_results(6);
  for (const CallResult& result : fixture.results) CHECK(result.message.size() == large.size());
}

TEST_CASE("a closed channel answers nothing") {
  Fixture fixture([](const Request& /*request*/) {});
  fixture.until_connected();
  fixture.call("open");
  run_for(fixture.loop, 5ms);
  fixture.channel().close();
  CHECK(fixture.call("after") == ChannelCallId{});
  run_for(fixture.loop, 10ms);
  CHECK(fixture.results.empty());
  CHECK(fixture.channel().calls_in_flight() == 0);
}

}  // namespace
}  // namespace mark::net
