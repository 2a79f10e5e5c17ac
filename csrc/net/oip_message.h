// The Open Inference Protocol v2 on the wire, scanned and written without protobuf objects: a request is bytes in, a
// batch is bytes out. Field numbers: proto/open_inference_grpc.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mark::net {

enum class Datatype : std::uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFp16,
  kBf16,
  kFp32,
  kFp64,
  kBytes
};
std::optional<Datatype> datatype_of(std::string_view name);  // "FP32", ...
std::string_view datatype_name(Datatype datatype);
int datatype_bytes(Datatype datatype);  // of one element; 0 for BYTES

// More than any array library knows; a shape of more dimensions is no shape.
inline constexpr std::size_t kRankMax = 64;

// Outputs of a response, where no signature says how many there are.
inline constexpr std::size_t kOutputsMax = 1024;

// A tensor that the model takes or gives. shape[0] is the batch dimension, -1; another -1 matches any size.
struct TensorSpec {
  std::string name;
  Datatype datatype = Datatype::kFp32;
  std::vector<std::int64_t> shape;
};

struct ModelSignature {
  std::string name;
  std::string version;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  int rows_max = 32;  // rows in one request
};
// Throws std::invalid_argument, naming the tensor, when no request could fit the signature or one could in two ways.
void check_signature(const ModelSignature& signature);

enum class RequestFault : std::uint8_t { kMalformed, kInvalid, kUnknownModel, kUnknownVersion };

// A refused request: `field` says where ("inputs[0].shape"), `message` what and how to mend it, field included.
struct RequestError {
  RequestFault fault = RequestFault::kInvalid;
  std::string field;
  std::string message;
};

// One tensor in the protocol's raw form: little-endian, BYTES elements each behind a 4-byte length.
struct Tensor {
  std::vector<std::int64_t> shape;
  std::string raw;
};

// A valid request: tensors in the order of the signature.
struct InferRequest {
  std::string id;
  int rows = 0;
  std::vector<Tensor> inputs;
  std::uint64_t priority = 0;  // of the request's parameters; 0 where there is none
  std::vector<int> outputs;    // indices into the signature's outputs, in the order asked; all of them by default
  std::int64_t bytes() const;  // memory held by the payload
};

// Model name and version of a ModelInferRequest, without looking into the rest. Views into `message`.
struct Target {
  std::string_view model_name;
  std::string_view model_version;
};
std::variant<Target, RequestError> scan_target(std::string_view message);

// Scans and checks a ModelInferRequest: raw_input_contents or typed contents, never both.
std::variant<InferRequest, RequestError> parse_infer_request(std::string_view message, const ModelSignature& signature);

// A tensor to be written; views into the caller's memory.
struct TensorView {
  std::string_view name;
  Datatype datatype = Datatype::kFp32;
  std::vector<std::int64_t> shape;
  std::string_view raw;
};

// One ModelInferResponse per request, cut out of the batch's response by rows, with the request's id and outputs.
// An error (text) when the response is malformed or of another model, an output is missing or given twice, or one
// differs from the signature or from the number of rows that was sent. `size` as it was given to write_batch: the rows
// behind those of the requests are dropped.
std::variant<std::vector<std::string>, std::string> split_response(std::string_view response,
                                                                   const ModelSignature& signature,
                                                                   const std::vector<const InferRequest*>& requests,
                                                                   int size = 0);

// The same out of a batch's outputs themselves, where the model is in this very process.
std::variant<std::vector<std::string>, std::string> split_outputs(const std::vector<TensorView>& outputs,
                                                                  const ModelSignature& signature,
                                                                  const std::vector<const InferRequest*>& requests,
                                                                  int size = 0);

// What clients send and workers answer, tensors as raw contents. The caller vouches that raw fits the shape.
struct MessageHead {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  std::uint64_t priority = 0;  // of a request; 0 is not written
};
std::string write_infer_request(const MessageHead& head, const std::vector<TensorView>& inputs,
                                const std::vector<std::string_view>& outputs);
std::string write_infer_response(const MessageHead& head, const std::vector<TensorView>& outputs);

// A response as a client reads it.
struct NamedTensor {
  std::string name;
  Datatype datatype = Datatype::kFp32;
  std::vector<std::int64_t> shape;
  std::string raw;
};
struct InferResponse {
  std::string model_name;
  std::string model_version;
  std::string id;
  std::vector<NamedTensor> outputs;
};
// An error (text, naming the field) when the message is malformed or contents do not fit their shape.
std::variant<InferResponse, std::string> parse_infer_response(std::string_view message);

}  // namespace mark::net
