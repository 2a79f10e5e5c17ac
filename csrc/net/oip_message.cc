#include "net/oip_message.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "net/wire.h"

namespace mark::net {

namespace {

struct DatatypeRow {
  std::string_view name;
  int bytes;
};

// In the order of the enumeration.
constexpr std::array<DatatypeRow, 14> kDatatypes{{{"BOOL", 1},
                                                  {"UINT8", 1},
                                                  {"UINT16", 2},
                                                  {"UINT32", 4},
                                                  {"UINT64", 8},
                                                  {"INT8", 1},
                                                  {"INT16", 2},
                                                  {"INT32", 4},
                                                  {"INT64", 8},
                                                  {"FP16", 2},
                                                  {"BF16", 2},
                                                  {"FP32", 4},
                                                  {"FP64", 8},
                                                  {"BYTES", 0}}};
static_assert(kDatatypes[static_cast<std::size_t>(Datatype::kBytes)].name == "BYTES");

void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

void check_tensors(const std::vector<TensorSpec>& tensors, const std::string& kind) {
  require(!tensors.empty(), "a signature needs inputs and outputs");
  for (auto tensor = tensors.begin(); tensor != tensors.end(); ++tensor) {
    const std::string named = kind + " " + quoted(tensor->name);
    require(std::none_of(tensors.begin(), tensor, [&](const TensorSpec& other) { return other.name == tensor->name; }),
            named + " is given twice");
    const auto& shape = tensor->shape;
    require(!shape.empty() && shape.front() == -1, named + " must have shape[0] == -1, the batch dimension");
    require(shape.size() <= kRankMax, named + " has more than " + std::to_string(kRankMax) + " dimensions");
    for (const std::int64_t size : shape) {
      require(size >= -1, named + " has dimension " + std::to_string(size) + "; -1 is any size, no other is negative");
    }
  }
}

}  // namespace

void check_signature(const ModelSignature& signature) {
  check_tensors(signature.inputs, "input");
  check_tensors(signature.outputs, "output");
  require(signature.rows_max >= 1, "rows_max must be at least 1");
}

std::optional<Datatype> datatype_of(std::string_view name) {
  for (std::size_t i = 0; i < kDatatypes.size(); ++i) {
    if (kDatatypes[i].name == name) return static_cast<Datatype>(i);
  }
  return std::nullopt;
}

std::string_view datatype_name(Datatype datatype) { return kDatatypes[static_cast<std::size_t>(datatype)].name; }

int datatype_bytes(Datatype datatype) { return kDatatypes[static_cast<std::size_t>(datatype)].bytes; }

std::int64_t InferRequest::bytes() const {
  std::size_t held = id.size();
  for (const Tensor& tensor : inputs) held += tensor.raw.size() + tensor.shape.size() * sizeof(std::int64_t);
  return static_cast<std::int64_t>(held);
}

}  // namespace mark::net
