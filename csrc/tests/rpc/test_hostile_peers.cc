#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "echo_server.h"
#include "http2_client.h"
#include "raw_client.h"

namespace mark::net {

namespace {

using namespace frames;
using namespace std::chrono_literals;

constexpr int kEnhanceYourCalm = 11;

std::string repeated(int count, const std::function<std::string(int)>& make) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += make(i);
  return bytes;
}

std::uint32_t stream_of(int call) { return static_cast<std::uint32_t>(2 * call + 1); }

// Sends it all, is told to calm down and cut off; a client of its own connection does not notice.
void check_cut_off(const std::string& bytes) {
  EchoServer echo;
  LoopThread loop;
  TestClient witness(loop, echo.server.address());
  auto waiting = witness.start(kEchoPath, "wait");
  RawClient attacker(echo.server.address());
  if (attacker.send(opening() + bytes)) CHECK(attacker.wait_for_end());
  // The kernel may throw away what was on its way when it closes a socket with unread bytes.
  const int goodbye = attacker.goodbye();
  CHECK((goodbye == kEnhanceYourCalm || goodbye == -1));
  CHECK(witness.call(kEchoPath, "unaffected").body == framed("unaffected"));
  echo.handler.answer_all();
  CHECK(TestClient::wait(std::move(waiting)).status() == "0");
  CHECK(echo.server.counts().connections_hostile == 1);
}

TEST_CASE("floods are cut off") {
  SUBCASE("of pings") {
    check_cut_off(repeated(50'000, [](int) { return frame(kPing, 0, 0, "12345678"); }));
  }
  SUBCASE("of settings") {
    check_cut_off(repeated(50'000, [](int) { return frame(kSettings, 0, 0, ""); }));
  }
  SUBCASE("of priorities") {
    check_cut_off(repeated(50'000, [](int i) { return frame(kPriority, 0, stream_of(i), number(0) + "x"); }));
  }
  SUBCASE("of window updates") {
    check_cut_off(repeated(50'000, [](int) { return frame(kWindowUpdate, 0, 0, number(1)); }));
  }
  SUBCASE("of empty data") {
    check_cut_off(frame(kHeaders, kEndHeaders, 1, call_block()) +
                  repeated(50'000, [](int) { return frame(kData, 0, 1, ""); }));
  }
  SUBCASE("of data that is only padding") {
    check_cut_off(frame(kHeaders, kEndHeaders, 1, call_block()) +
                  repeated(50'000, [](int) { return frame(kData, kPadded, 1, std::string("\1\0", 2)); }));
  }
  SUBCASE("of streams that are reset at once, without an error too") {
    for (const std::uint32_t error : {8U, 0U}) {
      check_cut_off(repeated(20'000, [&](int i) {
        return frame(kHeaders, kEndHeaders, stream_of(i), call_block()) +
               frame(kRstStream, 0, stream_of(i), number(error));
      }));
    }
  }
  SUBCASE("of streams that make the server reset them") {
    check_cut_off(repeated(20'000, [](int i) {
      return frame(kHeaders, kEndHeaders, stream_of(i), call_block()) +
             frame(kWindowUpdate, 0, stream_of(i), number(0x7fffffff));
    }));
  }
  SUBCASE("of continuations") {
    check_cut_off(frame(kHeaders, 0, 1, call_block()) +
                  repeated(50'000, [](int) { return frame(kContinuation, 0, 1, ""); }));
  }
  SUBCASE("of headers in continuations") {
    check_cut_off(frame(kHeaders, 0, 1, call_block()) + repeated(1'000, [](int) {
                    return frame(kContinuation, 0, 1, literal("name", std::string(100, 'x')));
                  }));
  }
}

TEST_CASE("small bytes that become large headers are cut off") {
  // One entry of 3,000 bytes into the table, then a byte for each time that it is meant.
  std::string entry("\x40\x01x\x7f", 4);
  entry += "\xb9\x16";  // 127 + 2873 of the length
  entry += std::string(3'000, 'y');
  check_cut_off(frame(kHeaders, kEndHeaders, 1, call_block() + entry + std::string(10'000, '\xbe')));
  SUBCASE("headers that are many and tiny") {
    check_cut_off(frame(kHeaders, kEndHeaders, 1, call_block() + repeated(300, [](int) { return literal("a", ""); })));
  }
}

TEST_CASE("what is no HTTP/2 is cut off") {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(100, '\0'), opening() + std::string(100, '\xff'),
        opening() + frame(kData, 0, 1, "idle stream"), opening() + frame(kHeaders, kEndHeaders, 2, call_block()),
        opening() + frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff"),
        opening() + frame(kContinuation, kEndHeaders, 1, call_block())}) {
    const EchoServer echo;
    RawClient attacker(echo.server.address());
    if (attacker.send(bytes)) CHECK(attacker.wait_for_end());
    CHECK(echo.server.counts().connections_hostile == 1);
    LoopThread loop;
    TestClient witness(loop, echo.server.address());
    CHECK(witness.call(kEchoPath, "unaffected").status() == "0");
  }
}

TEST_CASE("odd but legal framing is answered") {
  const EchoServer echo;
  RawClient client(echo.server.address());
  std::string bytes = opening();
  // A block in small continuations, data a byte at a time, with padding, with pings between.
  const std::string block = call_block();
  bytes += frame(kHeaders, 0, 1, block.substr(0, 1));
  for (std::size_t at = 1; at < block.size(); at += 3) bytes += frame(kContinuation, 0, 1, block.substr(at, 3));
  bytes += frame(kContinuation, kEndHeaders, 1, "");
  for (const char each : framed("split and padded")) {
    bytes += frame(kData, kPadded, 1, std::string("\2") + each + std::string(2, '\0'));
    bytes += frame(kPing, 0, 0, "12345678");
  }
  bytes += frame(kData, kEndStream, 1, "");
  CHECK(client.send(bytes));
  CHECK(client.wait_for(framed("split and padded")));
  CHECK(echo.server.counts().connections_hostile == 0);
}

TEST_CASE("a client that cancels most of its calls, and works, is left alone") {
  const EchoServer echo;
  RawClient client(echo.server.address());
  CHECK(client.send(opening() + frame(kWindowUpdate, 0, 0, number(0x7fff0000))));
  for (int round = 0; round < 400; ++round) {
    std::string bytes;
    for (int i = 0; i < 50; ++i) {
      const int at = 2 * (round * 50 + i);
      bytes +=
          frame(kHeaders, kEndHeaders, stream_of(at), call_block()) + frame(kRstStream, 0, stream_of(at), number(8));
      bytes += call(stream_of(at + 1), "round " + std::to_string(round));
    }
    REQUIRE(client.send(bytes));
    REQUIRE(client.wait_for(framed("round " + std::to_string(round))));
    client.received.clear();
  }
  CHECK(echo.server.counts().calls == 40'000);
  CHECK(echo.server.counts().connections_hostile == 0);
}

GrpcServerParams impatient() {
  GrpcServerParams params = echo_params();
  params.handshake_max = 500ms;  // in which a client of the tests that does begin is sure to have begun
  params.patience = 100ms;
  return params;
}

TEST_CASE("who does not begin is cut off, who has begun may be idle") {
  const EchoServer echo(impatient());
  LoopThread loop;
  TestClient idle(loop, echo.server.address());
  CHECK(idle.call(kEchoPath, "x").status() == "0");
  RawClient silent(echo.server.address());
  RawClient half(echo.server.address());
  half.send(opening().substr(0, 10));
  CHECK(silent.wait_for_end());
  CHECK(half.wait_for_end());
  CHECK(echo.server.counts().connections_too_slow == 2);
  std::this_thread::sleep_for(200ms);  // with what the others had, longer than any patience: it must not be noticed
  CHECK(idle.call(kEchoPath, "x").status() == "0");
}

TEST_CASE("a message that does not come is waited for so long") {
  EchoServer echo(impatient());
  LoopThread loop;
  TestClient client(loop, echo.server.address());
  for (const std::string& part : {std::string(), framed("message").substr(0, 3), framed("message").substr(0, 8)}) {
    auto [stream, pending] = client.open(TestClient::call_headers(kEchoPath), part, false);
    const TestResponse response = TestClient::wait(std::move(pending));
    CHECK(response.status() == "4");
    CHECK(response.message() == "the request's message did not come");
  }
  auto waiting = client.start(kEchoPath, "wait");  // the server's time, not the client's
  CHECK(echo.handler.wait_for(1, 0));
  std::this_thread::sleep_for(200ms);
  echo.handler.answer_all();
  CHECK(TestClient::wait(std::move(waiting)).status() == "0");
}

TEST_CASE("who takes nothing is cut off") {
  SUBCASE("because it reads nothing") {
    EchoServer echo(impatient());
    RawClient client(echo.server.address());
    client.reads = false;
    client.send(opening() + frame(kSettings, 0, 0, std::string("\0\4\x7f\xff\xff\xff", 6)) +
                frame(kWindowUpdate, 0, 0, number(0x7fff0000)));
    // More than all buffers of the kernel between the two hold.
    client.send(repeated(100, [](int i) { return call(stream_of(i), "large"); }));
    CHECK(comes_true([&] { return echo.server.counts().connections_too_slow == 1; }));
  }
  SUBCASE("because it opens no window") {
    const EchoServer echo(impatient());
    RawClient client(echo.server.address());
    client.send(std::string(kPreface) + frame(kSettings, 0, 0, std::string("\0\4\0\0\0\0", 6)) + call(1, "x"));
    CHECK(client.wait_for_end());
    CHECK(echo.server.counts().connections_too_slow == 1);
  }
}

TEST_CASE("answers that nobody takes have a limit: beyond it new streams are refused") {
  GrpcServerParams params = echo_params();
  params.http2.queued_bytes_max = 10 << 20;
  const EchoServer echo(params);
  RawClient client(echo.server.address());
  client.send(std::string(kPreface) + frame(kSettings, 0, 0, std::string("\0\4\0\0\0\0", 6)));
  CHECK(client.send(repeated(12, [](int i) { return call(stream_of(i), "large"); })));
  CHECK(client.wait_for(frame(kRstStream, 0, 23, number(7))));
  CHECK(client.received.find(frame(kRstStream, 0, 19, number(7))) == std::string::npos);
}

TEST_CASE("no more streams at once than the limit") {
  GrpcServerParams params = echo_params();
  params.http2.streams_max = 10;
  EchoServer echo(params);
  RawClient client(echo.server.address());
  // Before it has heard of the limit.
  client.send(opening() + repeated(11, [](int i) { return call(stream_of(i), "wait"); }));
  CHECK(client.wait_for(frame(kRstStream, 0, 21, number(7))));
  CHECK(echo.handler.wait_for(10, 0));
}

}  // namespace

}  // namespace mark::net
