// The model that the fuzzed messages are for.
#pragma once

#include "net/oip_message.h"

namespace mark::net {

inline ModelSignature fuzz_signature() {
  ModelSignature signature;
  signature.name = "m";
  signature.version = "1";
  signature.inputs = {{"x", Datatype::kFp32, {-1, 2}}, {"t", Datatype::kBytes, {-1, -1}}};
  signature.outputs = {{"y", Datatype::kFp32, {-1, 2}}, {"s", Datatype::kBytes, {-1}}};
  signature.rows_max = 4;
  return signature;
}

inline std::string fuzz_request(int rows) {
  const std::string floats(static_cast<std::size_t>(rows) * 8, '\0');
  std::string texts;
  for (int row = 0; row < rows; ++row) texts += std::string("\1\0\0\0a", 5);
  return write_infer_request(
      {"m", "", "id", 0}, {{"x", Datatype::kFp32, {rows, 2}, floats}, {"t", Datatype::kBytes, {rows, 1}, texts}}, {});
}

inline std::string fuzz_response(int rows) {
  const std::string floats(static_cast<std::size_t>(rows) * 8, '\0');
  std::string texts;
  for (int row = 0; row < rows; ++row) texts += std::string("\1\0\0\0a", 5);
  return write_infer_response({"m", "1", "id", 0},
                              {{"y", Datatype::kFp32, {rows, 2}, floats}, {"s", Datatype::kBytes, {rows}, texts}});
}

}  // namespace mark::net
