// One model's request path: bytes in, bytes out.
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "bindings/bindings.h"
#include "net/endpoint.h"

namespace net = mark::net;

namespace {

py::list list_of(std::vector<net::Reply> replies) {
  py::list list(replies.size());
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const net::Reply& reply = replies[i];
    const py::object message = reply.message ? py::object(py::bytes(*reply.message)) : py::none();
    list[i] = py::make_tuple(reply.request.value, message, reply.outcome, escaped(reply.detail));
  }
  return list;
}

py::object submit(net::Endpoint& endpoint, const py::bytes& message, std::int64_t deadline_ns, std::int64_t now_ns,
                  const std::shared_ptr<net::RequestTrace>& trace) {
  auto admitted = endpoint.submit(std::string_view(message), time_of(deadline_ns), time_of(now_ns), 0, trace);
  if (const auto* id = std::get_if<mark::RequestId>(&admitted)) return py::int_(id->value);
  if (auto* error = std::get_if<net::RequestError>(&admitted)) return py::cast(std::move(*error));
  return py::cast(std::get<net::Refusal>(admitted));
}

py::tuple poll(net::Endpoint& endpoint, std::int64_t now_ns) {
  auto decisions = endpoint.poll(time_of(now_ns));
  py::list batches;
  for (auto& batch : decisions.batches) batches.append(py::cast(std::move(batch)));
  return py::make_tuple(batches, list_of(std::move(decisions.replies)));
}

std::optional<std::int64_t> next_wakeup(const net::Endpoint& endpoint) {
  const auto wakeup = endpoint.next_wakeup();
  return wakeup ? std::optional(ns_of(*wakeup)) : std::nullopt;
}

void bind_values(py::module_& m) {
  py::class_<net::Refusal>(m, "Refusal", "Why a valid request was not accepted.")
      .def_readonly("admission", &net::Refusal::admission)
      .def_property_readonly("retry_after_ns", [](const net::Refusal& r) { return ns_of(r.retry_after); });
  py::class_<net::OutboundBatch>(m, "OutboundBatch", "A batch ready for its worker.")
      .def_property_readonly("batch", [](const net::OutboundBatch& b) { return b.batch.value; })
      .def_property_readonly("worker", [](const net::OutboundBatch& b) { return static_cast<std::uint32_t>(b.worker); })
      .def_property_readonly("message", [](const net::OutboundBatch& b) { return py::bytes(b.message()); })
      .def_readonly("requests", &net::OutboundBatch::requests)
      .def_readonly("rows", &net::OutboundBatch::rows)
      .def_readonly("size", &net::OutboundBatch::size)
      .def_readonly("reason", &net::OutboundBatch::reason)
      .def_property_readonly("predicted_finish_ns",
                             [](const net::OutboundBatch& b) { return ns_of(b.predicted_finish); })
      .def_property_readonly("earliest_deadline_ns",
                             [](const net::OutboundBatch& b) { return ns_of(b.earliest_deadline); })
      .def_readonly("trace", &net::OutboundBatch::trace);
}

}  // namespace

void bind_endpoint(py::module_& m) {
  bind_values(m);
  using net::Endpoint;
  py::class_<Endpoint>(m, "Endpoint", "One model's request path: signature, payload slots and dispatcher.")
      .def(py::init<net::ModelSignature, const mark::DispatcherParams&>(), py::arg("signature"), py::arg("params"))
      .def("submit", &submit, py::arg("message"), py::arg("deadline_ns"), py::arg("now_ns"), py::arg("trace") = nullptr)
      .def("poll", &poll, py::arg("now_ns"))
      .def("next_wakeup_ns", &next_wakeup)
      .def(
          "complete",
          [](Endpoint& e, std::uint64_t batch, const py::bytes& response, std::int64_t now_ns) {
            return list_of(e.complete(mark::BatchId{batch}, std::string_view(response), time_of(now_ns)));
          },
          py::arg("batch"), py::arg("response"), py::arg("now_ns"))
      .def(
          "fail",
          [](Endpoint& e, std::uint64_t batch, mark::Failure failure, const std::string& detail, std::int64_t now_ns) {
            return list_of(e.fail(mark::BatchId{batch}, failure, detail, time_of(now_ns)));
          },
          py::arg("batch"), py::arg("failure"), py::arg("detail"), py::arg("now_ns"))
      .def(
          "cancel",
          [](Endpoint& e, std::uint64_t request, std::int64_t now_ns) {
            return e.cancel(mark::RequestId{request}, time_of(now_ns));
          },
          py::arg("request"), py::arg("now_ns"))
      .def(
          "worker_up",
          [](Endpoint& e, std::uint32_t worker, const mark::WorkerSpec& spec, std::int64_t now_ns) {
            e.worker_up(mark::WorkerId{worker}, spec, time_of(now_ns));
          },
          py::arg("worker"), py::arg("spec"), py::arg("now_ns"))
      .def(
          "worker_drain", [](Endpoint& e, std::uint32_t worker) { e.worker_drain(mark::WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_busy", [](const Endpoint& e, std::uint32_t worker) { return e.worker_busy(mark::WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_down",
          [](Endpoint& e, std::uint32_t worker, std::int64_t now_ns) {
            return list_of(e.worker_down(mark::WorkerId{worker}, time_of(now_ns)));
          },
          py::arg("worker"), py::arg("now_ns"))
      .def(
          "retune",
          [](Endpoint& e, const mark::DispatcherParams& params, std::int64_t now_ns) {
            e.retune(params, time_of(now_ns));
          },
          py::arg("params"), py::arg("now_ns"))
      .def("shed", &Endpoint::shed, py::arg("share"))
      .def(
          "backlog_ns", [](const Endpoint& e, std::int64_t now_ns) { return ns_of(e.backlog(time_of(now_ns))); },
          py::arg("now_ns"))
      .def("statistics", &Endpoint::statistics);
}
