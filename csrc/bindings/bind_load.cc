// The load generator: driven by a thread that lets go of Python meanwhile.
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/native_server.h"
#include "net/rpc/connector.h"
#include "net/rpc/load_generator.h"

namespace net = mark::net;

namespace {

using Kind = net::LoadOutcome::Ending::Kind;
using Instants = py::array_t<std::int64_t, py::array::c_style>;

// The memory of a vector as an array, without a copy.
template <class T>
py::array_t<T> array_of(std::vector<T>& values) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  std::vector<T>& kept = *owner;
  const py::capsule keeper(owner.release(), [](void* pointer) { delete static_cast<std::vector<T>*>(pointer); });
  return py::array_t<T>({static_cast<py::ssize_t>(kept.size())}, kept.data(), keeper);
}

py::list endings_of(const net::LoadOutcome& outcome) {
  py::list endings;
  for (const auto& ending : outcome.endings) {
    py::list metadata;
    for (const auto& [name, value] : ending.status.metadata) {
      metadata.append(py::make_tuple(escaped(name), escaped(value)));
    }
    endings.append(py::make_tuple(ending.kind, static_cast<int>(ending.status.code), escaped(ending.status.message),
                                  std::move(metadata)));
  }
  return endings;
}

py::list kept_of(const net::LoadOutcome& outcome) {
  py::list kept;
  for (const auto& [request, answer] : outcome.kept) kept.append(py::make_tuple(request, py::bytes(answer)));
  return kept;
}

// Whom to call, and how; std::invalid_argument when nobody can be called so.
net::LoadParams make_params(const std::string& address, int connections, std::optional<std::int64_t> timeout_ns,
                            std::size_t in_flight_max, std::size_t keep_every,
                            const std::optional<ClientIdentity>& identity) {
  net::parse_peer_address(address);
  net::LoadParams params;
  params.address = address;
  params.tls = client_tls(identity);
  params.connections = connections;
  if (timeout_ns) params.timeout = mark::DurationNs{*timeout_ns};
  params.in_flight_max = in_flight_max;
  params.keep_every = keep_every;
  return params;
}

net::LoadOutcome run_open(net::LoadGenerator& generator, const Instants& instants_ns) {
  const std::span<const std::int64_t> instants(instants_ns.data(), static_cast<std::size_t>(instants_ns.size()));
  const py::gil_scoped_release release;
  return generator.run_open(instants);
}

net::LoadOutcome run_closed(net::LoadGenerator& generator, std::size_t in_flight, std::int64_t duration_ns) {
  const py::gil_scoped_release release;
  return generator.run_closed(in_flight, mark::DurationNs{duration_ns});
}

}  // namespace

void bind_load(py::module_& m) {
  py::native_enum<Kind>(m, "LoadEnding", "enum.Enum", "How a request of the load generator ended.")
      .value("ANSWERED", Kind::kAnswered)
      .value("FAILED", Kind::kFailed)
      .value("CANCELLED", Kind::kCancelled)
      .value("NOT_SENT", Kind::kNotSent)
      .finalize();
  py::class_<net::LoadOutcome>(m, "LoadOutcome", "What became of the requests; each array can be taken once.")
      .def_property_readonly("endings", endings_of, "(ending, gRPC status, its text, its metadata); see take_ending")
      .def_property_readonly("kept", kept_of, "(request, answer)")
      .def("take_ending", [](net::LoadOutcome& outcome) { return array_of(outcome.ending); })
      .def("take_due_ns", [](net::LoadOutcome& outcome) { return array_of(outcome.due_ns); })
      .def("take_latency_ns", [](net::LoadOutcome& outcome) { return array_of(outcome.latency_ns); })
      .def("take_lag_ns", [](net::LoadOutcome& outcome) { return array_of(outcome.lag_ns); })
      .def_property_readonly("duration_ns", [](const net::LoadOutcome& outcome) { return ns_of(outcome.duration); });
  py::class_<net::LoadParams>(m, "LoadParams", "Whom a load generator calls, and how.")
      .def(py::init(&make_params), py::arg("address"), py::kw_only(), py::arg("connections") = 1,
           py::arg("timeout_ns") = py::none(), py::arg("in_flight_max") = 20'000, py::arg("keep_every") = 0,
           py::arg("identity") = py::none());
  py::class_<net::LoadGenerator>(m, "LoadGenerator", "Calls ModelInfer from one thread without Python; runs once.")
      .def(py::init<net::LoadParams, std::vector<std::string>>(), py::arg("params"), py::arg("requests"))
      .def("run_open", &run_open, py::arg("instants_ns"))
      .def("run_closed", &run_closed, py::arg("in_flight"), py::arg("duration_ns"))
      .def(
          "stop",
          [](net::LoadGenerator& generator, std::int64_t grace_ns) { generator.stop(mark::DurationNs{grace_ns}); },
          py::arg("grace_ns"))
      .def_property_readonly("due", &net::LoadGenerator::due)
      .def_property_readonly("ended", &net::LoadGenerator::ended);
}
