// A worker's response, cut into those of two requests of a batch: all of them, and each can be read, or an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz_signature.h"

namespace {

mark::net::InferRequest request_of(const mark::net::ModelSignature& signature, int rows) {
  return std::get<mark::net::InferRequest>(mark::net::parse_infer_request(mark::net::fuzz_request(rows), signature));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mark::net::ModelSignature signature = mark::net::fuzz_signature();
  static const mark::net::InferRequest first = request_of(signature, 1);
  static const mark::net::InferRequest second = request_of(signature, 2);
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  mark::net::parse_infer_response(message);
  const auto split = mark::net::split_response(message, signature, {&first, &second});
  if (const auto* const parts = std::get_if<std::vector<std::string>>(&split)) {
    if (parts->size() != 2) std::abort();
    for (const std::string& part : *parts) {
      if (!std::holds_alternative<mark::net::InferResponse>(mark::net::parse_infer_response(part))) std::abort();
    }
  }
  return 0;
}
