// The tensor messages inside requests and responses: InferInputTensor and InferOutputTensor have the same layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/oip_message.h"
#include "net/wire.h"

namespace mark::net {

// Of the typed contents in a tensor message. Every occurrence counts: protobuf merges them.
inline constexpr std::uint32_t kTensorContents = 5;

inline constexpr char kNoText[] = "is not text in UTF-8";

// One tensor as it lies in a message; views into the message.
struct TensorMessage {
  std::string_view message;  // all of it
  std::string_view name;
  std::string_view datatype;
  std::vector<std::int64_t> shape;
  bool typed = false;          // it has contents, though they may be empty
  bool shared_memory = false;  // its parameters name a shared-memory region
};

// What is wrong with a tensor message, and with which part of it: ".shape"; empty when with all of it.
struct TensorFault {
  std::string part;
  std::string explanation;
};

std::variant<TensorMessage, TensorFault> scan_tensor(std::string_view message);

// An entry of a parameters map. Of its value only whole numbers are kept: nothing else is asked for.
struct Parameter {
  std::string_view key;
  bool is_whole = false;  // the value is an int64 or a uint64
  bool is_negative = false;
  std::uint64_t whole = 0;
};

// Empty when key or value are malformed.
std::optional<Parameter> scan_parameter(std::string_view entry);
// The key of a parameters map entry; empty when key or value are malformed.
std::optional<std::string_view> parameter_key(std::string_view entry);
inline constexpr std::string_view kPriority = "priority";
inline constexpr std::uint32_t kParameterKey = 1;
inline constexpr std::uint32_t kParameterValue = 2;
inline constexpr std::uint32_t kUint64Parameter = 5;  // of a value
inline constexpr std::string_view kSharedMemory = "shared_memory_region";

// "inputs[0]"
std::string entry(std::string_view list, std::size_t index);

// Elements of a shape; -1 when a dimension is negative or the product does not fit 63 bits.
std::int64_t elements_of(const std::vector<std::int64_t>& shape);

// "[1, 8, 8]"
std::string shape_text(const std::vector<std::int64_t>& shape);

// Bytes of the message that write_tensor appends, without the head of the field that holds it.
std::size_t tensor_size(std::string_view name, Datatype datatype, const std::vector<std::int64_t>& shape);
void write_tensor(WireWriter& writer, std::string_view name, Datatype datatype, const std::vector<std::int64_t>& shape);

}  // namespace mark::net
