// How requests end without an answer, in the words of both ingresses, and what a worker's answers say of it.
#include <string>

#include "bindings/bindings.h"
#include "mark/worker_life.h"
#include "net/link_status.h"
#include "net/request_end.h"

namespace net = mark::net;

namespace {

void bind_ends(py::module_& m) {
  using net::EndKind;
  using net::RequestEnd;
  py::native_enum<EndKind>(m, "EndKind", "enum.Enum", "The errors of mark.errors that a request may end with.")
      .value("INVALID_REQUEST", EndKind::kInvalidRequest)
      .value("MODEL_NOT_FOUND", EndKind::kModelNotFound)
      .value("OVERLOADED", EndKind::kOverloaded)
      .value("DEADLINE_EXCEEDED", EndKind::kDeadlineExceeded)
      .value("UNAVAILABLE", EndKind::kUnavailable)
      .value("MODEL_FAILED", EndKind::kModelFailed)
      .finalize();
  py::class_<RequestEnd>(m, "RequestEnd", "Why a request got no answer, as its client is told.")
      .def(py::init([](EndKind kind, std::string message, std::optional<std::int64_t> retry_after_ms) {
             return RequestEnd{kind, std::move(message), retry_after_ms};
           }),
           py::arg("kind"), py::arg("message"), py::arg("retry_after_ms") = std::nullopt)
      .def_readonly("kind", &RequestEnd::kind)
      .def_property_readonly("message", [](const RequestEnd& end) { return escaped(end.message); })
      .def_readonly("retry_after_ms", &RequestEnd::retry_after_ms);
  m.def(
      "end_of_fault", [](const net::RequestError& fault) { return net::end_of(fault); }, py::arg("fault"),
      "Of a request that the codec refused.");
  m.def(
      "end_of_refusal", [](const net::Refusal& refusal) { return net::end_of(refusal); }, py::arg("refusal"),
      "Of a request that the dispatcher refused.");
  m.def(
      "end_of_outcome",
      [](mark::Outcome outcome, const std::string& detail, std::int64_t backlog_ns) {
        return net::end_of(outcome, detail, mark::DurationNs{backlog_ns});
      },
      py::arg("outcome"), py::arg("detail"), py::arg("backlog_ns"), "Of a request that was accepted.");
  m.def("unknown_model", &net::unknown_model, py::arg("name"), py::arg("served"));
  m.def("unknown_version", &net::unknown_version, py::arg("model"), py::arg("version"), py::arg("served"));
  m.def("refused_for_stop", &net::refused_for_stop, "Of a request that comes while the server stops.");
  m.def("ended_by_stop", &net::ended_by_stop, "Of a request that waits when the server stops.");
  m.def(
      "status_name_of", [](EndKind kind) { return std::string(net::status_name_of(kind)); }, py::arg("kind"),
      "The name of the gRPC status.");
  m.def(
      "status_text", [](const py::bytes& text) { return net::status_text(std::string_view(text)); }, py::arg("text"),
      "The text as a gRPC status may carry it: UTF-8, and cut where it is too long.");
}

py::tuple link_statuses() {
  py::tuple names(net::kLinkStatuses.size());
  for (std::size_t i = 0; i < net::kLinkStatuses.size(); ++i) names[i] = py::str(std::string(net::kLinkStatuses[i]));
  return names;
}

}  // namespace

py::str escaped(const std::string& text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "backslashreplace"));
}

void bind_request_end(py::module_& m) {
  bind_ends(m);
  using mark::WorkerLife;
  py::class_<WorkerLife>(m, "WorkerLife", "What a worker's answers, and the lack of them, say of it.")
      .def(py::init<>())
      .def_static(
          "timeout_ns",
          [](std::int64_t predicted_ns, std::int64_t rt_max_ns) {
            return ns_of(WorkerLife::timeout(mark::DurationNs{predicted_ns}, mark::DurationNs{rt_max_ns}));
          },
          py::arg("predicted_ns"), py::arg("rt_max_ns"))
      .def_property_readonly("is_up", &WorkerLife::is_up)
      .def_property_readonly("life", &WorkerLife::life)
      .def_property_readonly("is_hung", &WorkerLife::is_hung)
      .def_property_readonly("left_alone_ns", [](const WorkerLife& life) { return ns_of(life.left_alone()); })
      .def("up", &WorkerLife::up)
      .def("down", &WorkerLife::down)
      .def("answered", &WorkerLife::answered)
      .def("lost", &WorkerLife::lost, py::arg("life"), py::arg("hung"));
  using mark::ProbePauses;
  py::class_<ProbePauses> pauses(m, "ProbePauses",
                                 "How long to wait before a worker that was not ready is asked again.");
  pauses.def(py::init<>()).def("next_ns", [](ProbePauses& self) { return ns_of(self.next()); });
  m.attr("PROBE_TIMEOUT_NS") = ns_of(ProbePauses::kAnswerTimeout);
  m.attr("LINK_STATUSES") = link_statuses();
}
