// The native server of a worker process: Python is entered once for each batch.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/native_server.h"
#include "bindings/tensor_buffers.h"
#include "net/rpc/model_server.h"
#include "net/rpc/tls_context.h"

namespace net = mark::net;

namespace {

// A batch that Python owes an answer. Keeps its server alive.
class ModelBatch {
 public:
  ModelBatch(std::shared_ptr<net::ModelServer> server, net::TakenBatch taken)
      : server_(std::move(server)), taken_(std::move(taken)), requests_(net::requests_of(*taken_.batch.payloads)) {}

  int rows() const { return taken_.batch.rows; }
  std::vector<std::int64_t> shape(std::size_t input) const { return joined(input).shape; }
  // Of the requests one after the other: the one copy on their way to the model.
  py::bytes raw(std::size_t input) const {
    const net::JoinedTensor tensor = joined(input);
    auto bytes =
        py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(tensor.bytes)));
    if (!bytes) throw py::error_already_set();
    net::gather(tensor, input, requests_, PyBytes_AS_STRING(bytes.ptr()));
    return bytes;
  }

  void complete(const std::vector<BufferTuple>& outputs) {
    const TensorBuffers buffers(outputs);
    const py::gil_scoped_release released;
    server_->complete(taken_, buffers.views());
  }
  bool is_traced() const { return taken_.batch.trace != nullptr; }
  void computed(std::int64_t began_ns, std::int64_t ended_ns) {
    if (is_traced()) taken_.batch.trace->computed(time_of(began_ns), time_of(ended_ns));
  }
  void fail(std::string why) { server_->fail(taken_, std::move(why)); }

 private:
  net::JoinedTensor joined(std::size_t input) const {
    const net::ModelSignature& signature = server_->signature();
    if (input >= signature.inputs.size()) throw py::index_error("the model has no such input");
    return net::joined_tensor(signature, input, requests_);
  }

  std::shared_ptr<net::ModelServer> server_;
  net::TakenBatch taken_;
  std::vector<const net::InferRequest*> requests_;
};

struct Served {
  std::shared_ptr<net::TlsContext> tls;  // null: no TLS
  std::shared_ptr<net::ModelServer> server;
};

using ServerIdentity = std::tuple<std::string, std::string, std::string>;  // certificate, key, authorities

net::TlsIdentity identity_of(const ServerIdentity& texts) {
  const auto& [certificate, key, authorities] = texts;
  return {.certificate_pem = certificate,
          .key_pem = key,
          .authorities_pem = authorities,
          .client_must_show = true,
          .peer_name = {}};
}

Served make_served(const net::ModelSignature& signature, std::string address, int threads, std::string pass_on_to,
                   const std::optional<ServerIdentity>& identity, const std::shared_ptr<net::Tracer>& tracer) {
  net::GrpcServerParams params;
  params.address = std::move(address);
  params.threads = threads;
  params.pass_on_to = std::move(pass_on_to);
  params.message_bytes_max = -1;  // a batch may be larger than one client's message
  // But routers compress nothing: a few bytes that turn into gigabytes are nobody's batch.
  params.inflated_bytes_max = std::int64_t{64} * 1024 * 1024;
  if (identity) params.tls = std::make_shared<net::TlsContext>(net::TlsContext::Role::kServer, identity_of(*identity));
  Served served{.tls = params.tls, .server = nullptr};
  raising_os_error([&] { served.server = std::make_shared<net::ModelServer>(signature, std::move(params), tracer); });
  return served;
}

std::optional<ModelBatch> take(const Served& served) {
  std::optional<net::TakenBatch> taken;
  {
    const py::gil_scoped_release released;
    taken = served.server->take();
  }
  if (!taken) return std::nullopt;
  return ModelBatch(served.server, std::move(*taken));
}

// Takes what the server has to tell.
bool all_answered(const Served& served) {
  bool told = false;
  for (const net::Notice& notice : served.server->notices().take()) {
    told = told || std::holds_alternative<net::AllAnswered>(notice.what);
  }
  return told;
}

}  // namespace

void bind_model_server(py::module_& m) {
  const auto released = py::call_guard<py::gil_scoped_release>();
  py::class_<ModelBatch>(m, "ModelBatch", "A batch for the model of this process, to be completed or failed once.")
      .def_property_readonly("rows", &ModelBatch::rows)
      .def("shape", &ModelBatch::shape, py::arg("input"))
      .def("raw", &ModelBatch::raw, py::arg("input"))
      .def_property_readonly("is_traced", &ModelBatch::is_traced)
      .def("computed", &ModelBatch::computed, py::arg("began_ns"), py::arg("ended_ns"))
      .def("complete", &ModelBatch::complete, py::arg("outputs"))
      .def("fail", &ModelBatch::fail, py::arg("why"));
  py::class_<Served>(m, "ModelServer", "A model behind a native server: requests of any client, batched.")
      .def(py::init(&make_served), py::arg("signature"), py::arg("address"), py::arg("threads"), py::arg("pass_on_to"),
           py::arg("identity"), py::arg("tracer") = nullptr)
      .def_property_readonly("address", [](const Served& s) { return s.server->address(); })
      .def(
          "start",
          [](const Served& s) {
            const SignalsBlocked blocked;
            s.server->start();
          },
          released)
      .def(
          "drain", [](const Served& s) { s.server->drain(); }, released)
      .def(
          "stop", [](const Served& s) { s.server->stop(); }, released)
      .def(
          "retrust", [](const Served& s, const ServerIdentity& identity) { s.tls->replace(identity_of(identity)); },
          py::arg("identity"))
      .def("fileno", [](const Served& s) { return s.server->notices().fd(); })
      .def("all_answered", &all_answered)
      .def("take", &take)
      .def("statistics", [](const Served& s) { return s.server->statistics(); }, released);
}
