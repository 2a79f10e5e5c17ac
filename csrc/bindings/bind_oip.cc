// The Open Inference Protocol codec, for clients, workers and the router's door.
#include <string>
#include <tuple>
#include <utility>

#include "bindings/bindings.h"
#include "mark/latency_profile.h"
#include "net/batch_message.h"
#include "net/oip_message.h"

namespace net = mark::net;

namespace {

using TensorTuple = std::tuple<std::string, std::string, std::vector<std::int64_t>>;
using BufferTuple = std::tuple<std::string, std::string, std::vector<std::int64_t>, py::buffer>;

net::Datatype datatype_or_throw(const std::string& name) {
  const auto datatype = net::datatype_of(name);
  if (!datatype) throw py::value_error("unknown datatype '" + name + "'; the protocol knows BOOL, FP32, BYTES ...");
  return *datatype;
}

std::vector<net::TensorSpec> specs_of(const std::vector<TensorTuple>& tensors) {
  std::vector<net::TensorSpec> specs;
  specs.reserve(tensors.size());
  for (const auto& [name, datatype, shape] : tensors) specs.push_back({name, datatype_or_throw(datatype), shape});
  return specs;
}

net::ModelSignature make_signature(std::string name, std::string version, const std::vector<TensorTuple>& inputs,
                                   const std::vector<TensorTuple>& outputs, int rows_max) {
  net::ModelSignature signature{std::move(name), std::move(version), specs_of(inputs), specs_of(outputs), rows_max};
  net::check_signature(signature);
  return signature;
}

// Tensors with the buffers that hold their contents, kept alive while the message is written.
class Buffers {
 public:
  explicit Buffers(const std::vector<BufferTuple>& tensors) : tensors_(tensors) {
    infos_.reserve(tensors.size());
    for (const auto& [name, datatype, shape, buffer] : tensors_) {
      infos_.push_back(buffer.request());
      const py::buffer_info& info = infos_.back();
      if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
        throw py::value_error("tensor '" + name + "' must be contiguous in memory, row-major");
      }
      const auto bytes = static_cast<std::size_t>(info.size * info.itemsize);
      views_.push_back({name, datatype_or_throw(datatype), shape, {static_cast<const char*>(info.ptr), bytes}});
    }
  }
  const std::vector<net::TensorView>& views() const { return views_; }

 private:
  const std::vector<BufferTuple>& tensors_;
  std::vector<py::buffer_info> infos_;
  std::vector<net::TensorView> views_;
};

py::bytes write_request(const std::string& model_name, const std::string& model_version, const std::string& request_id,
                        const std::vector<BufferTuple>& inputs, const std::vector<std::string>& outputs,
                        std::uint64_t priority) {
  const Buffers buffers(inputs);
  return {net::write_infer_request({model_name, model_version, request_id, priority}, buffers.views(),
                                   {outputs.begin(), outputs.end()})};
}

py::bytes write_response(const std::string& model_name, const std::string& model_version, const std::string& request_id,
                         const std::vector<BufferTuple>& outputs) {
  const Buffers buffers(outputs);
  return {net::write_infer_response({model_name, model_version, request_id}, buffers.views())};
}

py::object scan_target(const py::bytes& message) {
  auto scanned = net::scan_target(std::string_view(message));
  if (auto* error = std::get_if<net::RequestError>(&scanned)) return py::cast(std::move(*error));
  const auto& target = std::get<net::Target>(scanned);
  return py::make_tuple(target.model_name, target.model_version);
}

std::variant<net::InferRequest, net::RequestError> parse_request(const py::bytes& message,
                                                                 const net::ModelSignature& signature) {
  return net::parse_infer_request(std::string_view(message), signature);
}

net::InferResponse parse_response(const py::bytes& message) {
  auto parsed = net::parse_infer_response(std::string_view(message));
  if (const auto* error = std::get_if<std::string>(&parsed)) throw py::value_error(*error);
  return std::get<net::InferResponse>(std::move(parsed));
}

// The request in the next of the sizes and that size; as it is and 0 where it needs no padding, or is none.
py::tuple padded_request(const py::bytes& request, const net::ModelSignature& signature,
                         const std::vector<int>& sizes) {
  const auto parsed = net::parse_infer_request(std::string_view(request), signature);
  const auto* whole = std::get_if<net::InferRequest>(&parsed);
  const int size = whole == nullptr ? 0 : mark::next_size(sizes, whole->rows);
  if (whole == nullptr || size <= whole->rows) return py::make_tuple(request, 0);
  return py::make_tuple(py::bytes(net::write_batch(signature, whole->id, {whole}, size)), size);
}

// Where a request went alone, without an endpoint between.
py::bytes single_answer(const py::bytes& request, const py::bytes& response, const net::ModelSignature& signature,
                        int size) {
  const auto parsed = net::parse_infer_request(std::string_view(request), signature);
  if (const auto* error = std::get_if<net::RequestError>(&parsed)) throw py::value_error(error->message);
  auto split = net::split_response(std::string_view(response), signature, {&std::get<net::InferRequest>(parsed)}, size);
  if (const auto* error = std::get_if<std::string>(&split)) throw py::value_error(*error);
  return std::get<std::vector<std::string>>(split).front();
}

py::list tensors_of(const net::InferResponse& response) {
  py::list tensors;
  for (const net::NamedTensor& tensor : response.outputs) {
    tensors.append(
        py::make_tuple(tensor.name, net::datatype_name(tensor.datatype), tensor.shape, py::bytes(tensor.raw)));
  }
  return tensors;
}

void bind_requests(py::module_& m) {
  py::class_<net::ModelSignature>(m, "ModelSignature", "Tensors are (name, datatype, shape).")
      .def(py::init(&make_signature), py::arg("name"), py::arg("version"), py::arg("inputs"), py::arg("outputs"),
           py::arg("rows_max"))
      .def_readonly("name", &net::ModelSignature::name)
      .def_readonly("version", &net::ModelSignature::version)
      .def_readonly("rows_max", &net::ModelSignature::rows_max);
  py::native_enum<net::RequestFault>(m, "RequestFault", "enum.Enum", "Kinds of bad request.")
      .value("MALFORMED", net::RequestFault::kMalformed)
      .value("INVALID", net::RequestFault::kInvalid)
      .value("UNKNOWN_MODEL", net::RequestFault::kUnknownModel)
      .value("UNKNOWN_VERSION", net::RequestFault::kUnknownVersion)
      .finalize();
  py::class_<net::RequestError>(m, "RequestFaultInfo", "Why a request was refused, where, and how to mend it.")
      .def_readonly("fault", &net::RequestError::fault)
      .def_readonly("field", &net::RequestError::field)
      .def_readonly("message", &net::RequestError::message);
  py::class_<net::InferRequest>(m, "InferRequest", "A valid request, seen by a worker.")
      .def_readonly("id", &net::InferRequest::id)
      .def_readonly("rows", &net::InferRequest::rows)
      .def_readonly("priority", &net::InferRequest::priority)
      .def_readonly("outputs", &net::InferRequest::outputs)
      .def(
          "shape", [](const net::InferRequest& request, std::size_t index) { return request.inputs.at(index).shape; },
          py::arg("index"))
      .def(
          "raw",
          [](const net::InferRequest& request, std::size_t index) { return py::bytes(request.inputs.at(index).raw); },
          py::arg("index"));
}

}  // namespace

void bind_oip(py::module_& m) {
  bind_requests(m);
  py::class_<net::InferResponse>(m, "InferResponse", "A response, seen by a client.")
      .def_readonly("model_name", &net::InferResponse::model_name)
      .def_readonly("model_version", &net::InferResponse::model_version)
      .def_readonly("id", &net::InferResponse::id)
      .def_property_readonly("tensors", &tensors_of);
  m.def("scan_target", &scan_target, py::arg("message"), "Model name and version of a ModelInferRequest.");
  m.def("parse_infer_request", &parse_request, py::arg("message"), py::arg("signature"),
        "Scan and check a ModelInferRequest.");
  m.def("write_infer_request", &write_request, py::arg("model_name"), py::arg("model_version"), py::arg("request_id"),
        py::arg("inputs"), py::arg("outputs"), py::arg("priority") = 0, "A ModelInferRequest with raw contents.");
  m.def("write_infer_response", &write_response, py::arg("model_name"), py::arg("model_version"), py::arg("request_id"),
        py::arg("outputs"), "A ModelInferResponse with raw contents.");
  m.def("parse_infer_response", &parse_response, py::arg("message"),
        "Read a ModelInferResponse; ValueError names the field that is wrong.");
  m.def("padded_request", &padded_request, py::arg("request"), py::arg("signature"), py::arg("sizes"),
        "The request in the next of the sizes, and that size; as it is, and 0, where nothing is to pad.");
  m.def("single_answer", &single_answer, py::arg("request"), py::arg("response"), py::arg("signature"),
        py::arg("size") = 0,
        "A worker's answer to one request as its client gets it; ValueError says what is wrong with it.");
}
