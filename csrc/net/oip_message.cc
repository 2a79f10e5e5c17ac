#include "net/oip_message.h"

#include <array>
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

}  // namespace

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

std::variant<Target, RequestError> scan_target(std::string_view message) {
  Target target;
  WireReader reader(message);
  while (const auto field = reader.next()) {
    if (field->number > 2 || field->type != WireType::kBytes) continue;
    (field->number == 1 ? target.model_name : target.model_version) = field->bytes;
  }
  if (!reader.ok()) {
    return RequestError{RequestFault::kMalformed, "ModelInferRequest",
                        "the message is not a valid ModelInferRequest: it is truncated or garbage"};
  }
  return target;
}

}  // namespace mark::net
