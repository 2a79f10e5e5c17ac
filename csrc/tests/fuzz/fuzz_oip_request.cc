// The parser of requests: what it takes can be put into a batch, and is taken again from there.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <variant>

#include "fuzz_signature.h"
#include "net/batch_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const mark::net::ModelSignature signature = mark::net::fuzz_signature();
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  mark::net::scan_target(message);
  const auto parsed = mark::net::parse_infer_request(message, signature);
  if (const auto* const request = std::get_if<mark::net::InferRequest>(&parsed)) {
    if (request->rows < 1 || request->rows > signature.rows_max) std::abort();
    const std::string batch = mark::net::write_batch(signature, "b", {request});
    const auto again = mark::net::parse_infer_request(batch, signature);
    const auto* const same = std::get_if<mark::net::InferRequest>(&again);
    if (same == nullptr || same->rows != request->rows) std::abort();
    for (std::size_t i = 0; i < request->inputs.size(); ++i) {
      if (same->inputs[i].raw != request->inputs[i].raw || same->inputs[i].shape != request->inputs[i].shape) {
        std::abort();
      }
    }
  }
  return 0;
}
