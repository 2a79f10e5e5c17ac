#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "mark/concurrent_dispatcher.h"
#include "mark/dispatcher.h"
#include "mark/distribution.h"
#include "mark/latency_histogram.h"
#include "mark/request.h"
#include "mark/statistics.h"

namespace {

using mark::Admission;
using mark::BatchId;
using mark::Dispatch;
using mark::DispatcherParams;
using mark::DispatchReason;
using mark::Distribution;
using mark::DurationNs;
using mark::Failure;
using mark::LatencyHistogram;
using mark::Outcome;
using mark::RequestId;
using mark::Statistics;
using mark::WorkerId;
using mark::WorkerSpec;

std::vector<std::uint64_t> values_of(const std::vector<RequestId>& ids) {
  std::vector<std::uint64_t> values(ids.size());
  std::transform(ids.begin(), ids.end(), values.begin(), [](RequestId id) { return id.value; });
  return values;
}

void bind_enums(py::module_& m) {
  py::native_enum<Admission>(m, "Admission", "enum.Enum")
      .value("ACCEPTED", Admission::kAccepted)
      .value("QUEUE_FULL", Admission::kQueueFull)
      .value("PREDICTED_MISS", Admission::kPredictedMiss)
      .value("EXPIRED", Admission::kExpired)
      .value("TOO_MANY_ROWS", Admission::kTooManyRows)
      .value("SHED", Admission::kShed)
      .finalize();
  py::native_enum<DispatchReason>(m, "DispatchReason", "enum.Enum")
      .value("FULL", DispatchReason::kFull)
      .value("IDLE", DispatchReason::kIdle)
      .value("SLACK", DispatchReason::kSlack)
      .value("WINDOW", DispatchReason::kWindow)
      .finalize();
  py::native_enum<Outcome>(m, "Outcome", "enum.Enum")
      .value("ANSWERED", Outcome::kAnswered)
      .value("LATE", Outcome::kLate)
      .value("QUEUE_FULL", Outcome::kQueueFull)
      .value("PREDICTED_MISS", Outcome::kPredictedMiss)
      .value("EXPIRED", Outcome::kExpired)
      .value("CANCELLED", Outcome::kCancelled)
      .value("WORKER_LOST", Outcome::kWorkerLost)
      .value("MODEL_ERROR", Outcome::kModelError)
      .value("SHED", Outcome::kShed)
      .finalize();
  py::native_enum<Failure>(m, "Failure", "enum.Enum")
      .value("WORKER_LOST", Failure::kWorkerLost)
      .value("MODEL_ERROR", Failure::kModelError)
      .finalize();
}

void bind_params(py::module_& m) {
  const DispatcherParams defaults;
  py::class_<DispatcherParams>(m, "DispatcherParams")
      .def(py::init([](std::int64_t rt_max_ns, int rows_max, int queue_requests_max, std::int64_t queue_bytes_max,
                       std::int64_t margin_ns, bool admission, std::int64_t burst_latency_ns, bool corrects,
                       int priority_levels, std::optional<int> priority_default,
                       std::optional<std::pair<int, std::int64_t>> fixed) {
             DispatcherParams params;
             params.rt_max = DurationNs{rt_max_ns};
             params.rows_max = rows_max;
             params.queue_requests_max = queue_requests_max;
             params.queue_bytes_max = queue_bytes_max;
             params.margin = DurationNs{margin_ns};
             params.admission = admission;
             params.burst_latency = DurationNs{burst_latency_ns};
             params.corrects = corrects;
             params.priority_levels = priority_levels;
             params.priority_default = priority_default.value_or(priority_levels);
             if (fixed) params.fixed = mark::FixedBatch{fixed->first, DurationNs{fixed->second}};
             return params;
           }),
           py::arg("rt_max_ns"), py::kw_only(), py::arg("rows_max") = defaults.rows_max,
           py::arg("queue_requests_max") = defaults.queue_requests_max,
           py::arg("queue_bytes_max") = defaults.queue_bytes_max, py::arg("margin_ns") = ns_of(defaults.margin),
           py::arg("admission") = defaults.admission, py::arg("burst_latency_ns") = ns_of(defaults.burst_latency),
           py::arg("corrects") = defaults.corrects, py::arg("priority_levels") = defaults.priority_levels,
           py::arg("priority_default") = std::nullopt, py::arg("fixed") = std::nullopt);
  py::class_<WorkerSpec>(m, "WorkerSpec")
      .def(py::init([](const mark::LatencyProfile& profile, int rows_max, int batches_in_flight_max) {
             return WorkerSpec{profile, rows_max, batches_in_flight_max};
           }),
           py::arg("profile"), py::kw_only(), py::arg("rows_max") = 32, py::arg("batches_in_flight_max") = 1);
}

void bind_decisions(py::module_& m) {
  py::class_<Dispatch>(m, "Dispatch")
      .def_property_readonly("batch", [](const Dispatch& dispatch) { return dispatch.batch.value; })
      .def_property_readonly("worker",
                             [](const Dispatch& dispatch) { return static_cast<std::uint32_t>(dispatch.worker); })
      .def_property_readonly("requests", [](const Dispatch& dispatch) { return values_of(dispatch.requests); })
      .def_readonly("rows", &Dispatch::rows)
      .def_readonly("size", &Dispatch::size)
      .def_readonly("reason", &Dispatch::reason)
      .def_readonly("probe", &Dispatch::probe)
      .def_property_readonly("predicted_finish_ns",
                             [](const Dispatch& dispatch) { return ns_of(dispatch.predicted_finish); })
      .def_property_readonly("earliest_deadline_ns",
                             [](const Dispatch& dispatch) { return ns_of(dispatch.earliest_deadline); });
  py::class_<mark::Drop>(m, "Drop")
      .def_property_readonly("request", [](const mark::Drop& drop) { return drop.request.value; })
      .def_readonly("outcome", &mark::Drop::outcome);
  py::class_<mark::Decisions>(m, "Decisions")
      .def_readonly("dispatches", &mark::Decisions::dispatches)
      .def_readonly("drops", &mark::Decisions::drops);
}

py::array_t<std::uint64_t> buckets_of(const Statistics& statistics) {
  const auto& buckets = statistics.latency.buckets();
  return py::array_t<std::uint64_t>(static_cast<py::ssize_t>(buckets.size()), buckets.data());
}

py::array_t<std::int64_t> bucket_edges_ns() {
  py::array_t<std::int64_t> edges(LatencyHistogram::kBuckets);
  auto values = edges.mutable_unchecked<1>();
  for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) {
    values(bucket) = ns_of(LatencyHistogram::upper_edge(bucket));
  }
  return edges;
}

void bind_distributions(py::module_& m, py::class_<Statistics>& statistics) {
  py::class_<Distribution>(m, "Distribution")
      .def_readonly("bounds", &Distribution::bounds)
      .def_readonly("counts", &Distribution::counts)
      .def_readonly("sum", &Distribution::sum);
  py::class_<LatencyHistogram>(m, "LatencyHistogram")
      .def(py::init<>())
      .def(
          "record", [](LatencyHistogram& histogram, std::int64_t ns) { histogram.record(DurationNs{ns}); },
          py::arg("ns"))
      .def("distribution_s", &LatencyHistogram::distribution);
  const auto in_s = [&](const char* name, LatencyHistogram Statistics::* histogram) {
    statistics.def_property_readonly(name, [histogram](const Statistics& s) { return (s.*histogram).distribution(); });
  };
  in_s("latency_s", &Statistics::latency);
  in_s("queue_wait_s", &Statistics::queue_wait);
  in_s("slack_s", &Statistics::slack);
  statistics.def_property_readonly("batch_rows", [](const Statistics& s) { return s.batch_rows.distribution(); })
      .def_property_readonly("predicted_over_observed",
                             [](const Statistics& s) { return s.predicted_over_observed.distribution(); });
}

void bind_statistics(py::module_& m) {
  using mark::WorkerStatistics;
  py::class_<WorkerStatistics>(m, "WorkerStatistics")
      .def_property_readonly("worker", [](const WorkerStatistics& w) { return static_cast<std::uint32_t>(w.worker); })
      .def_readonly("correction", &WorkerStatistics::correction)
      .def_readonly("ejected", &WorkerStatistics::ejected)
      .def_readonly("batches", &WorkerStatistics::batches);
  py::class_<Statistics> statistics(m, "Statistics");
  bind_distributions(m, statistics);
  statistics.def_readonly("submitted_requests", &Statistics::submitted_requests)
      .def_readonly("submitted_rows", &Statistics::submitted_rows)
      .def_readonly("submitted_rows_lowest", &Statistics::submitted_rows_lowest)
      .def_readonly("admitted_requests", &Statistics::admitted_requests)
      .def_readonly("retried_requests", &Statistics::retried_requests)
      .def_readonly("dispatched_batches", &Statistics::dispatched_batches)
      .def_readonly("dispatched_rows", &Statistics::dispatched_rows)
      .def_readonly("padded_rows", &Statistics::padded_rows)
      .def_readonly("queued_requests", &Statistics::queued_requests)
      .def_readonly("queued_bytes", &Statistics::queued_bytes)
      .def_readonly("in_flight_requests", &Statistics::in_flight_requests)
      .def_readonly("ready_workers", &Statistics::ready_workers)
      .def_readonly("ejections", &Statistics::ejections)
      .def_readonly("probes", &Statistics::probes)
      .def_readonly("overtaking_batches", &Statistics::overtaking_batches)
      .def_readonly("workers", &Statistics::workers)
      .def_property_readonly("attainment", &Statistics::attainment)
      .def_property_readonly("latency_sum_ns", [](const Statistics& s) { return ns_of(s.latency.sum()); })
      .def(
          "ended", [](const Statistics& s, Outcome outcome) { return s.ended.at(static_cast<std::size_t>(outcome)); },
          py::arg("outcome"))
      .def(
          "dispatched",
          [](const Statistics& s, DispatchReason reason) {
            return s.dispatched_by_reason.at(static_cast<std::size_t>(reason));
          },
          py::arg("reason"))
      .def(
          "latency_quantile_ns",
          [](const Statistics& s, double quantile) { return ns_of(s.latency.quantile(quantile)); }, py::arg("quantile"))
      .def("latency_buckets", &buckets_of);
  m.def("latency_bucket_edges_ns", &bucket_edges_ns);
}

std::uint64_t request_id(std::uint32_t slot, std::uint32_t generation) {
  if (generation == 0) {
    throw std::invalid_argument("request id: generation 0 names nothing; count generations from 1");
  }
  return RequestId::of(slot, generation).value;
}

template <class T>
std::optional<std::int64_t> next_wakeup_ns(const T& dispatcher) {
  const std::optional<mark::TimeNs> wakeup = dispatcher.next_wakeup();
  return wakeup ? std::optional{ns_of(*wakeup)} : std::nullopt;
}

// What happens to requests; the same for the plain dispatcher and the concurrent one.
template <class T>
void bind_request_events(py::class_<T>& bound) {
  bound.def(py::init<const DispatcherParams&>(), py::arg("params"))
      .def(
          "submit",
          [](T& dispatcher, std::uint64_t request, std::int64_t deadline_ns, std::int64_t now_ns, int rows,
             std::int64_t bytes, std::uint32_t shape, int priority) {
            return dispatcher.submit({RequestId{request}, rows, bytes, time_of(deadline_ns), shape, priority},
                                     time_of(now_ns));
          },
          py::arg("request"), py::arg("deadline_ns"), py::arg("now_ns"), py::kw_only(), py::arg("rows") = 1,
          py::arg("bytes") = 0, py::arg("shape") = 0, py::arg("priority") = 1)
      .def(
          "poll", [](T& dispatcher, std::int64_t now_ns) { return dispatcher.poll(time_of(now_ns)); },
          py::arg("now_ns"))
      .def("next_wakeup_ns", &next_wakeup_ns<T>)
      .def(
          "complete",
          [](T& dispatcher, std::uint64_t batch, std::int64_t now_ns) {
            return values_of(dispatcher.complete(BatchId{batch}, time_of(now_ns)));
          },
          py::arg("batch"), py::arg("now_ns"))
      .def(
          "fail",
          [](T& dispatcher, std::uint64_t batch, Failure failure, std::int64_t now_ns) {
            return dispatcher.fail(BatchId{batch}, failure, time_of(now_ns));
          },
          py::arg("batch"), py::arg("failure"), py::arg("now_ns"))
      .def(
          "cancel",
          [](T& dispatcher, std::uint64_t request, std::int64_t now_ns) {
            return dispatcher.cancel(RequestId{request}, time_of(now_ns));
          },
          py::arg("request"), py::arg("now_ns"));
}

// What happens to workers, and what can be asked.
template <class T>
void bind_worker_events(py::class_<T>& bound) {
  bound
      .def(
          "worker_up",
          [](T& dispatcher, std::uint32_t worker, const WorkerSpec& spec, std::int64_t now_ns) {
            dispatcher.worker_up(WorkerId{worker}, spec, time_of(now_ns));
          },
          py::arg("worker"), py::arg("spec"), py::arg("now_ns"))
      .def(
          "worker_drain", [](T& dispatcher, std::uint32_t worker) { dispatcher.worker_drain(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_busy",
          [](const T& dispatcher, std::uint32_t worker) { return dispatcher.worker_busy(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_down",
          [](T& dispatcher, std::uint32_t worker, std::int64_t now_ns) {
            return dispatcher.worker_down(WorkerId{worker}, time_of(now_ns));
          },
          py::arg("worker"), py::arg("now_ns"))
      .def(
          "retune",
          [](T& dispatcher, const DispatcherParams& params, std::int64_t now_ns) {
            dispatcher.retune(params, time_of(now_ns));
          },
          py::arg("params"), py::arg("now_ns"))
      .def("shed", &T::shed, py::arg("share"))
      .def(
          "backlog_ns",
          [](const T& dispatcher, std::int64_t now_ns) { return ns_of(dispatcher.backlog(time_of(now_ns))); },
          py::arg("now_ns"))
      .def("statistics", &T::statistics);
}

}  // namespace

void bind_dispatcher(py::module_& m) {
  bind_enums(m);
  bind_params(m);
  bind_decisions(m);
  bind_statistics(m);
  m.def("request_id", &request_id, py::arg("slot"), py::arg("generation"));

  py::class_<mark::Dispatcher> plain(m, "Dispatcher");
  bind_request_events(plain);
  bind_worker_events(plain);

  py::class_<mark::ConcurrentDispatcher> concurrent(m, "ConcurrentDispatcher");
  bind_request_events(concurrent);
  bind_worker_events(concurrent);
  // The calls above take microseconds and keep the GIL; this one sleeps.
  concurrent
      .def(
          "wait",
          [](mark::ConcurrentDispatcher& dispatcher, std::int64_t timeout_ns) {
            return dispatcher.wait(DurationNs{timeout_ns});
          },
          py::arg("timeout_ns"), py::call_guard<py::gil_scoped_release>())
      .def("stop", &mark::ConcurrentDispatcher::stop);
}
