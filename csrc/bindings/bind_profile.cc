#include <stdexcept>
#include <vector>

#include "bindings/bindings.h"
#include "mark/batch_limits.h"
#include "mark/latency_profile.h"

namespace {

mark::LatencyProfile make_profile(const std::vector<int>& rows, const std::vector<std::int64_t>& latencies_ns) {
  if (rows.size() != latencies_ns.size()) {
    throw std::invalid_argument("latency profile: " + std::to_string(rows.size()) + " rows but " +
                                std::to_string(latencies_ns.size()) + " latencies; give one latency for each");
  }
  std::vector<mark::ProfilePoint> points;
  points.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    points.push_back({rows[i], mark::DurationNs{latencies_ns[i]}});
  }
  return mark::LatencyProfile{std::move(points)};
}

}  // namespace

void bind_profile(py::module_& m) {
  py::class_<mark::LatencyProfile>(m, "LatencyProfile")
      .def(py::init(&make_profile), py::arg("rows"), py::arg("latencies_ns"))
      .def(
          "predict_ns", [](const mark::LatencyProfile& profile, int rows) { return ns_of(profile.predict(rows)); },
          py::arg("rows"))
      .def("padded_to", &mark::LatencyProfile::padded_to, py::arg("sizes"))
      .def_property_readonly("sizes", &mark::LatencyProfile::sizes)
      .def("size_for", &mark::LatencyProfile::size_for, py::arg("rows"));
  py::class_<mark::BatchLimits>(m, "BatchLimits")
      .def_readonly("n_batch", &mark::BatchLimits::n_batch)
      .def_property_readonly("w_batch_ns", [](const mark::BatchLimits& limits) { return ns_of(limits.w_batch); })
      .def_readonly("n_sustained", &mark::BatchLimits::n_sustained);
  m.def(
      "batch_limits",
      [](const mark::LatencyProfile& profile, std::int64_t rt_max_ns, int rows_max) {
        return mark::batch_limits(profile, mark::DurationNs{rt_max_ns}, rows_max);
      },
      py::arg("profile"), py::arg("rt_max_ns"), py::arg("rows_max"));
  m.def(
      "capacity_rows_per_s",
      [](const mark::LatencyProfile& profile, std::int64_t rt_max_ns, int rows_max) {
        return mark::capacity_rows_per_s(profile, mark::DurationNs{rt_max_ns}, rows_max);
      },
      py::arg("profile"), py::arg("rt_max_ns"), py::arg("rows_max"));
}
