#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "net/rpc/grpc_framing.h"

namespace mark::net {

namespace {

using Result = MessageReader::Result;

std::string framed(std::string_view message, char flag = 0) {
  const auto prefix = message_prefix(message.size());
  std::string bytes(prefix.data(), prefix.size());
  bytes[0] = flag;
  return bytes.append(message);
}

TEST_CASE("a message comes together from any split") {
  const std::string message = "some message";
  const std::string bytes = framed(message);
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      MessageReader reader(100);
      reader.append(std::string_view(bytes).substr(0, first));
      reader.append(std::string_view(bytes).substr(first, second - first));
      CHECK(reader.append(std::string_view(bytes).substr(second)) == Result::kComplete);
      CHECK(reader.take() == message);
    }
  }
}

TEST_CASE("an empty message is one") {
  MessageReader reader(0);
  CHECK_FALSE(reader.has_begun());
  CHECK(reader.append(framed("")) == Result::kComplete);
  CHECK(reader.has_begun());
  CHECK(reader.take().empty());
}

TEST_CASE("a message beyond the limit is refused by its length alone") {
  MessageReader reader(10);
  CHECK(reader.append(framed("12345678901").substr(0, kMessagePrefixBytes)) == Result::kTooLarge);
  CHECK(reader.announced_bytes() == 11);
  CHECK(reader.append("more") == Result::kTooLarge);
  CHECK(MessageReader(10).append(framed("1234567890")) == Result::kComplete);
  CHECK(MessageReader(-1).append(framed(std::string(1 << 20, 'x'))) == Result::kComplete);
}

TEST_CASE("what is announced takes no memory before it comes") {
  MessageReader reader(-1);
  std::string bytes = framed("");
  bytes.replace(1, 4, "\xff\xff\xff\xff");
  CHECK(reader.append(bytes + "x") == Result::kMore);
  CHECK(reader.announced_bytes() == 0xffffffff);
  CHECK(reader.take().capacity() < std::size_t{1} << 20U);
}

TEST_CASE("bytes behind the message, and flags that there are not") {
  MessageReader both(10);
  CHECK(both.append(framed("a") + "b") == Result::kComplete);
  CHECK(both.has_excess());
  MessageReader reader(10);
  CHECK(reader.append(framed("a")) == Result::kComplete);
  CHECK(reader.append("") == Result::kComplete);
  CHECK_FALSE(reader.has_excess());
  CHECK(reader.append("b") == Result::kComplete);
  CHECK(reader.has_excess());
  CHECK(MessageReader(10).append(framed("a", 2)) == Result::kBadFlag);
  CHECK(MessageReader(10).append(framed("a", 1)) == Result::kCompressed);
}

TEST_CASE("gzip") {
  const std::string message(100'000, 'x');
  MessageReader reader(100'000);
  reader.expect(GrpcEncoding::kGzip);
  CHECK(reader.append(framed(deflated(message, GrpcEncoding::kGzip), 1)) == Result::kComplete);
  CHECK(reader.take() == message);

  MessageReader zlib(100'000);
  zlib.expect(GrpcEncoding::kDeflate);
  CHECK(zlib.append(framed(deflated(message, GrpcEncoding::kDeflate), 1)) == Result::kComplete);
  CHECK(zlib.take() == message);

  MessageReader plain(100'000);  // an encoding may be declared and not used
  plain.expect(GrpcEncoding::kGzip);
  CHECK(plain.append(framed(message)) == Result::kComplete);
  CHECK(plain.take() == message);

  MessageReader bounded(99'999);
  bounded.expect(GrpcEncoding::kGzip);
  CHECK(bounded.append(framed(deflated(message, GrpcEncoding::kGzip), 1)) == Result::kInflatesTooLarge);

  for (const std::string& broken : {std::string("garbage"), deflated(message, GrpcEncoding::kGzip).substr(0, 50),
                                    deflated(message, GrpcEncoding::kGzip) + "x"}) {
    MessageReader sceptic(1'000'000);
    sceptic.expect(GrpcEncoding::kGzip);
    CHECK(sceptic.append(framed(broken, 1)) == Result::kBroken);
  }
}

TEST_CASE("a bomb is inflated up to the limit only") {
  std::string result;
  const std::string bomb = deflated(std::string(std::size_t{64} << 20U, '\0'), GrpcEncoding::kGzip);
  CHECK(bomb.size() < 100'000);
  CHECK(inflated(bomb, GrpcEncoding::kGzip, 1 << 20, result) == InflateResult::kTooLarge);
  CHECK(result.capacity() < std::size_t{4} << 20U);
  CHECK(inflated("", GrpcEncoding::kGzip, 10, result) == InflateResult::kBroken);
  CHECK(inflated(deflated("", GrpcEncoding::kGzip), GrpcEncoding::kGzip, 0, result) == InflateResult::kDone);
}

TEST_CASE("grpc-timeout") {
  CHECK(parse_grpc_timeout("100m") == DurationNs{100'000'000});
  CHECK(parse_grpc_timeout("1n") == DurationNs{1});
  CHECK(parse_grpc_timeout("7u") == DurationNs{7'000});
  CHECK(parse_grpc_timeout("5S") == DurationNs{5'000'000'000});
  CHECK(parse_grpc_timeout("2M") == DurationNs{120'000'000'000});
  CHECK(parse_grpc_timeout("1H") == DurationNs{3'600'000'000'000});
  CHECK(parse_grpc_timeout("99999999H") == DurationNs::max());
  for (const char* const broken : {"", "m", "100", "100x", "123456789m", "-1m", "1.5S", " 1S", "1s"}) {
    CHECK_FALSE(parse_grpc_timeout(broken).has_value());
  }
  for (const std::int64_t ns : {std::int64_t{1}, std::int64_t{99'999'999}, std::int64_t{100'000'001},
                                std::int64_t{123'456'789'012}, std::int64_t{9'000'000'000'000'000'000}}) {
    const std::string text = grpc_timeout_of(DurationNs{ns});
    const DurationNs read = parse_grpc_timeout(text).value_or(DurationNs{});
    CHECK(read.count() >= ns);
    CHECK(read.count() - ns <= ns / 90'000);
  }
  CHECK(grpc_timeout_of(DurationNs{-5}) == "1n");
}

TEST_CASE("percent-encoding") {
  CHECK(percent_encoded("plain text, ~") == "plain text, ~");
  CHECK(percent_encoded("100% \n\xc3\xa9\x7f") == "100%25 %0A%C3%A9%7F");
  CHECK(percent_decoded("100%25 %0A%c3%A9") == "100% \n\xc3\xa9");
  CHECK(percent_decoded("%") == "%");
  CHECK(percent_decoded("%4") == "%4");
  CHECK(percent_decoded("%zz%41") == "%zzA");
  CHECK(percent_decoded("%41") == "A");
  std::string every;
  for (int byte = 0; byte < 256; ++byte) every.push_back(static_cast<char>(byte));
  CHECK(percent_decoded(percent_encoded(every)) == every);
}

}  // namespace

}  // namespace mark::net
