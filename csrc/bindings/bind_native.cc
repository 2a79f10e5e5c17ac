// The native data plane: one server, a request path for each model, and what they tell the event loop of Python.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/native_server.h"
#include "net/rpc/connector.h"
#include "net/rpc/grpc_server.h"
#include "net/rpc/ingress.h"
#include "net/rpc/notices.h"
#include "net/rpc/oip_methods.h"
#include "net/rpc/tls_context.h"
#include "net/rpc/worker_link.h"

namespace net = mark::net;

namespace {

using namespace std::chrono_literals;

constexpr mark::DurationNs kPatience = 1s;

// Members in this order: what runs on the server's loops ends with them, and before the ingress.
struct NativeServer {
  NativeServer(net::GrpcServerParams params, std::shared_ptr<net::Tracer> tracer)
      : server(std::move(params)), ingress(server.call_loops(), notices, std::move(tracer)) {
    server.handle(net::kModelInferMethod, ingress);
  }
  ~NativeServer() { server.stop(); }
  NativeServer(const NativeServer&) = delete;
  NativeServer& operator=(const NativeServer&) = delete;

  net::Notices notices;
  net::GrpcServer server;
  net::Ingress ingress;
};

// One model's path. Keeps its server alive.
struct NativePath {
  std::shared_ptr<NativeServer> server;
  net::RequestPath* path;

  template <class Task>
  void post(Task task) const {
    path->home().post([path = path, task = std::move(task)]() mutable { task(*path); });
  }
};

std::shared_ptr<NativeServer> make_server(std::string address, int threads, std::string pass_on_to,
                                          std::int64_t message_bytes_max, const std::shared_ptr<net::Tracer>& tracer) {
  net::GrpcServerParams params;
  params.address = std::move(address);
  params.threads = threads;
  params.first_thread_share = net::kHomeLoopShare;
  params.pass_on_to = std::move(pass_on_to);
  params.message_bytes_max = message_bytes_max;
  std::shared_ptr<NativeServer> server;
  raising_os_error([&] { server = std::make_shared<NativeServer>(std::move(params), tracer); });
  return server;
}

py::list taken_notices(NativeServer& server) {
  std::vector<net::Notice> taken;
  {
    const py::gil_scoped_release released;
    taken = server.notices.take();
  }
  py::list list;
  for (net::Notice& notice : taken) {
    list.append(
        py::make_tuple(notice.path, std::visit([](auto& what) { return py::cast(std::move(what)); }, notice.what)));
  }
  return list;
}

py::dict counts_of(const NativeServer& server) {
  const net::GrpcServerCounts counts = server.server.counts();
  py::dict named;
  named["connections"] = counts.connections;
  named["connections_open"] = counts.connections_open;
  named["connections_refused"] = counts.connections_refused;
  named["connections_hostile"] = counts.connections_hostile;
  named["connections_too_slow"] = counts.connections_too_slow;
  named["calls"] = counts.calls;
  named["calls_passed_on"] = counts.calls_passed_on;
  named["calls_cancelled"] = counts.calls_cancelled;
  named["messages_refused"] = counts.messages_refused;
  named["bytes_read"] = counts.bytes_read;
  named["bytes_written"] = counts.bytes_written;
  return named;
}

void bind_notices(py::module_& m) {
  py::class_<net::GivenUpRequest>(m, "GivenUpRequest", "A request that the native path refused or dropped.")
      .def_property_readonly("ticket",
                             [](const net::GivenUpRequest& g) { return py::make_tuple(g.ticket.loop, g.ticket.call); })
      .def_property_readonly("message", [](const net::GivenUpRequest& g) { return py::bytes(g.message); })
      .def_property_readonly("arrived_ns", [](const net::GivenUpRequest& g) { return ns_of(g.arrived); })
      .def_property_readonly("deadline_ns", [](const net::GivenUpRequest& g) { return ns_of(g.deadline); })
      .def_readonly("outcome", &net::GivenUpRequest::outcome)
      .def_readonly("end", &net::GivenUpRequest::end)
      .def_readonly("trace", &net::GivenUpRequest::trace);
  py::class_<net::GivenUpLeft>(m, "GivenUpLeft", "The client of a request that was given up has left.")
      .def_property_readonly("ticket",
                             [](const net::GivenUpLeft& g) { return py::make_tuple(g.ticket.loop, g.ticket.call); });
  py::class_<net::WorkerReady>(m, "WorkerReady", "A worker takes batches from now on.")
      .def_property_readonly("worker", [](const net::WorkerReady& w) { return static_cast<std::uint32_t>(w.worker); });
  py::class_<net::WorkerProbed>(m, "WorkerProbed", "What a worker says now when it is asked whether it is ready.")
      .def_property_readonly("worker", [](const net::WorkerProbed& w) { return static_cast<std::uint32_t>(w.worker); })
      .def_property_readonly("finding", [](const net::WorkerProbed& w) { return escaped(w.finding); });
  py::class_<net::WorkerGone>(m, "WorkerGone", "A worker was drained or removed, as it was asked for.")
      .def_property_readonly("worker", [](const net::WorkerGone& w) { return static_cast<std::uint32_t>(w.worker); });
  py::class_<net::BatchLost>(m, "BatchLost", "A worker was lost with a batch in flight.")
      .def_readonly("requests", &net::BatchLost::requests)
      .def_property_readonly("why", [](const net::BatchLost& lost) { return escaped(lost.why); });
  // Named, as these two have nothing to define: what is made is the type, not the handle to it.
  const py::class_<net::PathClosed> path_closed(m, "PathClosed", "No call waits for a path that was closed.");
  const py::class_<net::AllAnswered> all_answered(m, "AllAnswered", "The server drains, and no call waits any more.");
}

void bind_server(py::module_& m) {
  const auto released = py::call_guard<py::gil_scoped_release>();
  py::class_<NativeServer, std::shared_ptr<NativeServer>>(m, "NativeServer", "The native gRPC server.")
      .def(py::init(&make_server), py::arg("address"), py::arg("threads"), py::arg("pass_on_to"),
           py::arg("message_bytes_max"), py::arg("tracer") = nullptr)
      .def_property_readonly("address", [](const NativeServer& s) { return s.server.address(); })
      .def(
          "add_model",
          [](const std::shared_ptr<NativeServer>& s, const net::ModelSignature& signature,
             const mark::DispatcherParams& params, bool bursts) {
            return NativePath{s, &s->ingress.add_model(
                                     {.number = 0, .signature = signature, .dispatcher = params, .bursts = bursts})};
          },
          py::arg("signature"), py::arg("params"), py::arg("bursts"))
      .def(
          "start",
          [](NativeServer& s) {
            const SignalsBlocked blocked;
            s.server.start();
          },
          released)
      .def(
          "drain",
          [](NativeServer& s) {
            s.ingress.drain();
            s.server.drain();
          },
          released)
      .def(
          "stop", [](NativeServer& s) { s.server.stop(); }, released)
      .def("fileno", [](const NativeServer& s) { return s.notices.fd(); })
      .def("take_notices", &taken_notices)
      .def(
          "answer",
          [](NativeServer& s, std::pair<std::uint32_t, std::uint64_t> ticket, const py::bytes& message) {
            s.ingress.answer({ticket.first, ticket.second}, std::string(message));
          },
          py::arg("ticket"), py::arg("message"))
      .def(
          "end",
          [](NativeServer& s, std::pair<std::uint32_t, std::uint64_t> ticket, const net::RequestEnd& end) {
            s.ingress.end({ticket.first, ticket.second}, end);
          },
          py::arg("ticket"), py::arg("end"))
      .def("counts", &counts_of);
}

void bind_path(py::module_& m) {
  using net::RequestPath;
  const auto released = py::call_guard<py::gil_scoped_release>();
  py::class_<net::WorkerReport>(m, "WorkerReport", "A worker as its request path sees it.")
      .def_property_readonly("worker", [](const net::WorkerReport& w) { return static_cast<std::uint32_t>(w.worker); })
      .def_property_readonly("address", [](const net::WorkerReport& w) { return w.address; })
      .def_property_readonly("last_probe", [](const net::WorkerReport& w) { return escaped(w.last_probe); })
      .def_readonly("up", &net::WorkerReport::up)
      .def_readonly("draining", &net::WorkerReport::draining)
      .def_readonly("hung", &net::WorkerReport::hung);
  py::class_<NativePath>(m, "NativePath", "The native request path of one model.")
      .def(
          "add_worker",
          [](const NativePath& p, std::uint32_t worker, const std::string& address, const mark::WorkerSpec& spec,
             const std::optional<ClientIdentity>& identity) {
            net::parse_peer_address(address);  // on this thread, where an error has somebody to tell
            net::WorkerLinkParams params{.address = address,
                                         .model = p.path->signature().name,
                                         .version = p.path->signature().version,
                                         .tls = client_tls(identity)};
            p.post([worker, spec, params = std::move(params)](RequestPath& path) mutable {
              params.on_finding = [&path, worker](const std::string& finding) {
                path.probed(mark::WorkerId{worker}, finding);
              };
              path.add_worker(mark::WorkerId{worker}, std::make_unique<net::WorkerLink>(path.home(), params), spec);
            });
          },
          py::arg("worker"), py::arg("address"), py::arg("spec"), py::arg("identity"))
      .def(
          "retrust",
          [](const NativePath& p, std::uint32_t worker, const ClientIdentity& identity) {
            p.post([worker, tls = client_tls(identity)](RequestPath& path) {
              auto* const link = dynamic_cast<net::WorkerLink*>(path.carrier_of(mark::WorkerId{worker}));
              if (link != nullptr) link->retrust(tls);
            });
          },
          py::arg("worker"), py::arg("identity"))
      .def(
          "drain_worker",
          [](const NativePath& p, std::uint32_t worker) {
            p.post([worker](RequestPath& path) { path.drain_worker(mark::WorkerId{worker}); });
          },
          py::arg("worker"))
      .def(
          "remove_worker",
          [](const NativePath& p, std::uint32_t worker) {
            p.post([worker](RequestPath& path) { path.remove_worker(mark::WorkerId{worker}); });
          },
          py::arg("worker"))
      .def("close", [](const NativePath& p) { p.post([](RequestPath& path) { path.close(); }); })
      .def(
          "shed", [](const NativePath& p, double share) { p.path->shed(share); }, py::arg("share"))
      .def(
          "retune", [](const NativePath& p, const mark::DispatcherParams& params) { p.path->retune(params); },
          py::arg("params"), released)
      .def(
          "statistics", [](const NativePath& p) { return p.path->statistics(); }, released)
      .def_property_readonly("ready_workers", [](const NativePath& p) { return p.path->ready_workers(); })
      .def(
          "workers",
          [](const NativePath& p, bool as_of_now) {
            return p.path->workers(as_of_now ? kPatience : mark::DurationNs::zero());
          },
          py::kw_only(), py::arg("as_of_now"), released);
}

}  // namespace

void bind_native(py::module_& m) {
  bind_notices(m);
  bind_server(m);
  bind_path(m);
}
