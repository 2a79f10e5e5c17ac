// gRPC framing: a body in pieces, with any encoding and limit, and the texts of headers.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/rpc/grpc_framing.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// What comes out does not depend on how it was cut.
std::pair<mark::net::MessageReader::Result, std::string> read(std::string_view body, std::size_t piece,
                                                              mark::net::GrpcEncoding encoding,
                                                              std::int64_t bytes_max) {
  mark::net::MessageReader reader(bytes_max);
  reader.expect(encoding);
  while (!body.empty()) {
    reader.append(body.substr(0, piece));
    body.remove_prefix(std::min(piece, body.size()));
  }
  const auto result = reader.result();
  std::string message = reader.take();
  if (result == mark::net::MessageReader::Result::kComplete) {
    require(bytes_max < 0 || message.size() <= static_cast<std::size_t>(bytes_max));
  }
  return {result, std::move(message)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const auto encoding = static_cast<mark::net::GrpcEncoding>(data[0] % 4);
  // Bounded in any case: 1,000 times of what came is what deflate can reach.
  const std::int64_t bytes_max = data[1] % 2 == 0 ? 100 : 1 << 20;
  const std::size_t piece = data[2] % 16 + std::size_t{1};
  const std::string_view body(reinterpret_cast<const char*>(data + 3), size - 3);
  require(read(body, piece, encoding, bytes_max) == read(body, body.size() + 1, encoding, bytes_max));

  require(mark::net::percent_decoded(mark::net::percent_encoded(body)) == body);
  mark::net::percent_decoded(body);
  if (const auto timeout = mark::net::parse_grpc_timeout(body)) {
    require(timeout->count() >= 0);
    const auto again = mark::net::parse_grpc_timeout(mark::net::grpc_timeout_of(*timeout));
    require(again && *again >= *timeout);
  }
  return 0;
}
