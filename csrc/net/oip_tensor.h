// The tensor messages inside requests and responses: InferInputTensor and InferOutputTensor have the same layout.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/oip_message.h"
#include "net/wire.h"

namespace mark::net {

// One tensor as it lies in a message; views into the message.
struct TensorMessage {
  std::string_view name;
  std::string_view datatype;
  std::vector<std::int64_t> shape;
  std::optional<std::string_view> contents;  // typed; set when present, even if empty
  bool shared_memory = false;                // its parameters name a shared-memory region
};

// Empty when malformed.
std::optional<TensorMessage> scan_tensor(std::string_view message);

// Whether a parameters map entry has this key.
bool parameter_is(std::string_view entry, std::string_view key);

// Elements of a shape; -1 when a dimension is negative or the product does not fit 63 bits.
std::int64_t elements_of(const std::vector<std::int64_t>& shape);

// "[1, 8, 8]"
std::string shape_text(const std::vector<std::int64_t>& shape);

// Bytes of the message that write_tensor appends, without the head of the field that holds it.
std::size_t tensor_size(std::string_view name, Datatype datatype, const std::vector<std::int64_t>& shape);
void write_tensor(WireWriter& writer, std::string_view name, Datatype datatype, const std::vector<std::int64_t>& shape);

}  // namespace mark::net
