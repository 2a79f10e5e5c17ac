#include <doctest/doctest.h>

#include <chrono>
#include <ctime>
#include <optional>
#include <string>

#include "net/rpc/connector.h"
#include "net/rpc/grpc_channel.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/tls_context.h"
#include "net/rpc/tls_transport.h"
#include "rpc/scripted_peer.h"
#include "rpc/test_certificates.h"

namespace mark::net {
namespace {

using namespace std::chrono_literals;
using Role = TlsContext::Role;

constexpr std::string_view kPath = "/a.B/C";

TlsIdentity identity_of(const TestAuthority& issuer, const TestAuthority& trusted,
                        const CertificateWishes& wishes = {}) {
  auto issued = issuer.issue(wishes);
  return {.certificate_pem = std::move(issued.certificate_pem),
          .key_pem = std::move(issued.key_pem),
          .authorities_pem = trusted.pem(),
          .peer_name = "worker.test"};
}

// A peer behind TLS, and one call to it by a client of its own.
struct Fixture {
  explicit Fixture(const TlsIdentity& identity) : server(Role::kServer, identity) {
    peer.make_transport = [this](int fd) { return server.secure(make_socket_transport(fd), ""); };
  }
  std::unique_ptr<GrpcChannel> channel_of(const std::shared_ptr<TlsContext>& tls) {
    return std::make_unique<GrpcChannel>(loop, GrpcChannelParams{.address = peer.address(), .tls = tls});
  }
  CallResult called(GrpcChannel& channel, const std::string& text) {
    std::optional<CallResult> result;
    std::vector<Piece> message;
    message.emplace_back(text);
    channel.call(kPath, std::move(message), steady_now() + 10s, [&](CallResult got) { result = std::move(got); });
    run_until(loop, [&result] { return result.has_value(); });
    return std::move(*result);
  }
  CallResult called(const TlsIdentity& identity, const std::string& text = "hello") {
    return called(*channel_of(std::make_shared<TlsContext>(Role::kClient, identity)), text);
  }
  std::string refusal(const TlsIdentity& identity) {
    const CallResult result = called(identity);
    CHECK(result.status.code == StatusCode::kUnavailable);
    return result.status.message;
  }

  EventLoop loop;
  TlsContext server;
  std::map<std::string, std::string> seen;
  ScriptedPeer peer{loop, "127.0.0.1:0", [this](const ScriptedPeer::Request& request) {
                      seen = request.headers;
                      ScriptedPeer::answer(request, request.message());
                    }};
};

bool has(const std::string& text, const std::string& part) {
  CAPTURE(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

TEST_CASE("both sides show a certificate, and messages pass, large ones as well") {
  const TestAuthority authority("authority");
  Fixture fixture(identity_of(authority, authority));
  const TlsIdentity router = identity_of(authority, authority, {.name = "router.test"});
  CHECK(fixture.called(router).message == "hello");
  CHECK(fixture.seen[":authority"] == "worker.test");
  CHECK(fixture.seen[":scheme"] == "https");
  const std::string large(5'000'000, 'a');
  CHECK(fixture.called(router, large).message == large);
}

TEST_CASE("a side whose certificate is not good is refused, and the words say why") {
  const TestAuthority authority("authority");
  const TestAuthority other("other");
  const TlsIdentity good = identity_of(authority, authority);
  {
    Fixture fixture(identity_of(other, authority));
    has(fixture.refusal(good), "the peer's certificate is refused: unable to get local issuer certificate");
  }
  {
    Fixture fixture(identity_of(authority, authority, {.name = "worker.test", .valid_from_s = -20, .valid_to_s = -10}));
    has(fixture.refusal(good), "the peer's certificate is refused: certificate has expired");
  }
  {
    Fixture fixture(identity_of(authority, authority, {.name = "somebody.else"}));
    has(fixture.refusal(good), "the peer's certificate is refused: hostname mismatch");
  }
  {
    Fixture fixture(good);
    has(fixture.refusal(identity_of(other, authority)), "alert unknown ca");
    TlsIdentity shows_none = good;
    shows_none.certificate_pem.clear();
    shows_none.key_pem.clear();
    has(fixture.refusal(shows_none), "alert certificate required");
    REQUIRE(fixture.peer.closed_because.size() >= 2);
    has(fixture.peer.closed_because[0], "the peer's certificate is refused");
    has(fixture.peer.closed_because[1], "peer did not return a certificate");
  }
}

TEST_CASE("without a name for the peer, the certificate must have the host that is connected to") {
  const TestAuthority authority("authority");
  TlsIdentity client = identity_of(authority, authority);
  client.peer_name.clear();
  Fixture fixture(identity_of(authority, authority, {.name = "127.0.0.1"}));
  CHECK(fixture.called(client).message == "hello");
  CHECK(fixture.seen[":authority"] == fixture.peer.address());
  Fixture wrong(identity_of(authority, authority, {.name = "127.0.0.2"}));
  has(wrong.refusal(client), "IP address mismatch");
}

TEST_CASE("a server without authorities asks nobody for a certificate") {
  const TestAuthority authority("authority");
  TlsIdentity server = identity_of(authority, authority);
  server.authorities_pem.clear();
  Fixture fixture(server);
  CHECK(fixture
            .called({.certificate_pem = "",
                     .key_pem = "",
                     .authorities_pem = authority.pem(),
                     .client_must_show = true,
                     .peer_name = "worker.test"})
            .message == "hello");
}

TEST_CASE("an identity is replaced while connections stand: they go on, and the next ones show the new one") {
  const TestAuthority old_authority("old");
  const TestAuthority new_authority("new");
  Fixture fixture(identity_of(old_authority, old_authority));
  const auto client = std::make_shared<TlsContext>(Role::kClient, identity_of(old_authority, old_authority));
  const auto channel = fixture.channel_of(client);
  CHECK(fixture.called(*channel, "before").message == "before");
  fixture.server.replace(identity_of(new_authority, new_authority));
  CHECK(fixture.called(*channel, "stands").message == "stands");
  CHECK(fixture.peer.accepted == 1);
  channel->retrust(std::make_shared<TlsContext>(Role::kClient, identity_of(new_authority, new_authority)));
  run_until(fixture.loop, [&channel] { return channel->is_connected(); });
  CHECK(fixture.called(*channel, "after").message == "after");
  CHECK(fixture.peer.accepted == 2);
  run_until(fixture.loop, [&fixture] { return fixture.peer.connections().size() == 1; });
}

TEST_CASE("an identity that does not belong together is refused in words, and changes nothing") {
  const TestAuthority authority("authority");
  const TlsIdentity good = identity_of(authority, authority);
  Fixture fixture(good);
  TlsIdentity wrong = good;
  wrong.certificate_pem = "nothing";
  CHECK_THROWS_WITH_AS(fixture.server.replace(wrong), "TLS: the certificate holds no certificate in PEM",
                       std::invalid_argument);
  wrong = good;
  wrong.key_pem = authority.issue().key_pem;
  CHECK_THROWS_WITH_AS(fixture.server.replace(wrong), doctest::Contains("do not belong together"),
                       std::invalid_argument);
  wrong = good;
  wrong.key_pem = "nothing";
  CHECK_THROWS_WITH_AS(fixture.server.replace(wrong), doctest::Contains("no private key"), std::invalid_argument);
  wrong = good;
  wrong.authorities_pem += "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  CHECK_THROWS_WITH_AS(fixture.server.replace(wrong), doctest::Contains("cannot be read"), std::invalid_argument);
  CHECK(fixture.called(good).message == "hello");
}

TEST_CASE("the server accepts over TLS") {
  struct Echo final : UnaryHandler {
    void on_call(CallLoop& calls, UnaryCall call) override { calls.reply(call.id, std::move(call.message)); }
    void on_cancelled(CallLoop& /*calls*/, CallId /*call*/) override {}
  } echo;
  const TestAuthority authority("authority");
  const TlsIdentity good = identity_of(authority, authority);
  GrpcServerParams params;
  params.address = "127.0.0.1:0";
  params.tls = std::make_shared<TlsContext>(Role::kServer, good);
  GrpcServer server(params);
  server.handle(kPath, echo);
  server.start();
  EventLoop loop;
  GrpcChannel channel(loop, {.address = server.address(), .tls = std::make_shared<TlsContext>(Role::kClient, good)});
  std::optional<CallResult> result;
  std::vector<Piece> message;
  message.emplace_back(std::string(2'000'000, 'a'));
  channel.call(kPath, message, steady_now() + 10s, [&](CallResult got) { result = std::move(got); });
  run_until(loop, [&result] { return result.has_value(); });
  CHECK(result->message == message.front().bytes());
}

TEST_CASE("a client that does not ask for HTTP/2 is told, and so is the server") {
  struct Owner final : Http2Owner {
    std::unique_ptr<StreamHandler> on_stream(Http2Connection& /*connection*/, StreamId /*stream*/) override {
      return nullptr;
    }
    void on_settings(Http2Connection& /*connection*/) override {}
    void on_go_away(Http2Connection& /*connection*/) override {}
    void on_connection_closed(Http2Connection& /*connection*/, std::string_view reason) override { why = reason; }
    std::string why;
  } owner;
  const TestAuthority authority("authority");
  TlsIdentity server = identity_of(authority, authority);
  server.authorities_pem.clear();
  Fixture fixture(server);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> bare(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  int fd = -1;
  const Connector connector(fixture.loop, parse_peer_address(fixture.peer.address()),
                            [&fd](int made, const std::string& /*why*/) { fd = made; });
  run_until(fixture.loop, [&fd] { return fd >= 0; });
  SslPointer ssl(SSL_new(bare.get()));
  SSL_set_connect_state(ssl.get());
  const auto connection =
      Http2Connection::make(fixture.loop, std::make_unique<TlsTransport>(make_socket_transport(fd), std::move(ssl)),
                            Http2Connection::Role::kClient, {}, owner);
  run_until(fixture.loop, [&] { return !owner.why.empty() && !fixture.peer.closed_because.empty(); });
  CHECK(owner.why == "TLS: the peer does not agree on HTTP/2 (ALPN \"h2\")");
  CHECK(fixture.peer.closed_because[0] == owner.why);
}

TEST_CASE("a peer that does not speak TLS, or stops within the handshake, is said; and nothing spins meanwhile") {
  const TestAuthority authority("authority");
  EventLoop loop;
  const ScriptedPeer plain(loop, "127.0.0.1:0", [](const ScriptedPeer::Request& /*request*/) {});
  GrpcChannel channel(loop, {.address = plain.address(),
                             .tls = std::make_shared<TlsContext>(Role::kClient, identity_of(authority, authority))});
  std::optional<CallResult> result;
  std::vector<Piece> message;
  message.emplace_back("x");
  channel.call(kPath, message, steady_now() + 10s, [&](CallResult got) { result = std::move(got); });
  run_until(loop, [&result] { return result.has_value(); });
  has(result->status.message, "wrong version number");

  const Listener silent("127.0.0.1:0");
  GrpcChannel waits(loop, {.address = silent.address(),
                           .tls = std::make_shared<TlsContext>(Role::kClient, identity_of(authority, authority)),
                           .connect_max = 200ms});
  const std::clock_t before = std::clock();
  result.reset();
  waits.call(kPath, message, steady_now() + 10s, [&](CallResult got) { result = std::move(got); });
  run_until(loop, [&result] { return result.has_value(); });
  has(result->status.message, "no HTTP/2 settings came within 200 ms");
  CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.1);
}

}  // namespace
}  // namespace mark::net
