// The traces of sampled requests: begun by servers, noted by drivers, taken by who exports them.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "net/tracer.h"

namespace net = mark::net;

namespace {

py::object trace_id_of(const net::TraceContext& context) {
  const py::int_ bits(64);
  return py::int_(context.trace_high).attr("__lshift__")(bits).attr("__or__")(py::int_(context.trace_low));
}

std::shared_ptr<net::Tracer> make_tracer(double share, int lanes, std::uint64_t seed, std::size_t spans_max) {
  return std::make_shared<net::Tracer>(
      net::TracerParams{.share = share, .lanes = lanes, .seed = seed, .spans_max = spans_max});
}

std::shared_ptr<net::RequestTrace> begin(net::Tracer& tracer, std::string traceparent, std::string tracestate,
                                         const std::string& model, std::int64_t now_ns) {
  const net::TraceHeaders headers{.parent = std::move(traceparent), .state = std::move(tracestate)};
  return tracer.begin(0, &headers, model, time_of(now_ns));
}

py::tuple headers_of(net::BatchTrace& trace) {
  const net::TraceHeaders headers = trace.call_headers();
  return py::make_tuple(headers.parent, headers.state);
}

void bind_values(py::module_& m) {
  py::native_enum<net::SpanName>(m, "SpanName", "enum.Enum")
      .value("REQUEST", net::SpanName::kRequest)
      .value("QUEUE", net::SpanName::kQueue)
      .value("BATCH", net::SpanName::kBatch)
      .value("COMPUTE", net::SpanName::kCompute)
      .value("FUNCTION", net::SpanName::kFunction)
      .finalize();
  py::class_<net::TraceContext>(m, "TraceContext", "A span among all spans of the world.")
      .def_property_readonly("trace_id", &trace_id_of)
      .def_readonly("span_id", &net::TraceContext::span)
      .def_readonly("state", &net::TraceContext::state);
  using net::Span;
  py::class_<Span>(m, "Span", "What became of a sampled request or batch; it has ended.")
      .def_readonly("name", &Span::name)
      .def_readonly("context", &Span::context)
      .def_property_readonly("parent_id",
                             [](const Span& s) { return s.parent == 0 ? std::nullopt : std::optional(s.parent); })
      .def_readonly("is_parent_remote", &Span::is_parent_remote)
      .def_readonly("is_call", &Span::is_call)
      .def_property_readonly("began_ns", [](const Span& s) { return ns_of(s.began); })
      .def_property_readonly("ended_ns", [](const Span& s) { return ns_of(s.ended); })
      .def_readonly("links", &Span::links)
      .def_readonly("status", &Span::status)
      .def_property_readonly("message", [](const Span& s) { return escaped(s.message); })
      .def_readonly("worker", &Span::worker)
      .def_property_readonly("model", [](const Span& s) { return escaped(s.facts.model); })
      .def_property_readonly("requests", [](const Span& s) { return s.facts.requests; })
      .def_property_readonly("rows", [](const Span& s) { return s.facts.rows; })
      .def_property_readonly("size", [](const Span& s) { return s.facts.size; })
      .def_property_readonly("reason", [](const Span& s) { return s.facts.reason; })
      .def_property_readonly("predicted_finish_ns", [](const Span& s) {
        return s.facts.predicted_finish ? std::optional(ns_of(*s.facts.predicted_finish)) : std::nullopt;
      });
}

void bind_traces(py::module_& m) {
  using net::BatchTrace;
  using net::RequestTrace;
  py::class_<RequestTrace, std::shared_ptr<RequestTrace>>(m, "RequestTrace", "One sampled request, until it ends.")
      .def(
          "queued", [](RequestTrace& t, std::int64_t now_ns) { t.queued(time_of(now_ns)); }, py::arg("now_ns"))
      .def(
          "end",
          [](RequestTrace& t, const std::string& status, const std::string& message, std::int64_t now_ns) {
            t.end(status, message, time_of(now_ns));
          },
          py::arg("status"), py::arg("message"), py::arg("now_ns"));
  py::class_<BatchTrace, std::shared_ptr<BatchTrace>>(m, "BatchTrace", "A batch with a sampled request, until it ends.")
      .def(py::init([](net::SpanName name, std::shared_ptr<RequestTrace> request, int rows) {
             net::BatchFacts facts;
             facts.requests = 1;
             facts.rows = rows;
             return std::make_shared<BatchTrace>(name, std::vector{std::move(request)}, std::move(facts));
           }),
           py::arg("name"), py::arg("request").none(false), py::arg("rows") = 0)
      .def(
          "sent",
          [](BatchTrace& t, const std::string& worker, std::int64_t now_ns) { t.sent(worker, time_of(now_ns)); },
          py::arg("worker"), py::arg("now_ns"))
      .def("call_headers", &headers_of)
      .def(
          "computed",
          [](BatchTrace& t, std::int64_t began_ns, std::int64_t ended_ns) {
            t.computed(time_of(began_ns), time_of(ended_ns));
          },
          py::arg("began_ns"), py::arg("ended_ns"))
      .def(
          "end",
          [](BatchTrace& t, const std::string& status, const std::string& message, std::int64_t now_ns) {
            t.end(status, message, time_of(now_ns));
          },
          py::arg("status"), py::arg("message"), py::arg("now_ns"));
}

}  // namespace

void bind_tracer(py::module_& m) {
  bind_values(m);
  bind_traces(m);
  using net::Tracer;
  py::class_<Tracer, std::shared_ptr<Tracer>>(m, "Tracer", "Which requests are traced, and what became of them.")
      .def(py::init(&make_tracer), py::kw_only(), py::arg("share"), py::arg("lanes") = 1, py::arg("seed") = 0,
           py::arg("spans_max") = net::TracerParams{}.spans_max)
      .def("begin", &begin, py::arg("traceparent"), py::arg("tracestate"), py::arg("model"), py::arg("now_ns"))
      .def("take", &Tracer::take, py::call_guard<py::gil_scoped_release>())
      .def("counts", [](const Tracer& t) {
        const net::TracerCounts counts = t.counts();
        py::dict named;
        named["requests"] = counts.requests;
        named["spans_dropped"] = counts.spans_dropped;
        return named;
      });
}
