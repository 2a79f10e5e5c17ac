// The simulator: arrivals in, what became of them out.
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

#include "bindings/bindings.h"
#include "mark/latency_histogram.h"
#include "mark/simulation/simulation.h"

namespace {

using mark::CreditBucket;
using mark::CreditParams;
using mark::DispatcherParams;
using mark::DurationNs;
using mark::Ending;
using mark::FunctionPoolParams;
using mark::LatencyHistogram;
using mark::Simulation;
using mark::SimulationParams;
using mark::WorkerId;

using Times = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Rates = py::array_t<double, py::array::c_style | py::array::forcecast>;

template <class T, int flags>
std::span<const T> span_of(const py::array_t<T, flags>& array) {
  if (array.ndim() != 1) throw py::value_error("must be one-dimensional");
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// How many requests arrive in each window: what a simulation of that seed will see.
py::array_t<std::uint64_t> count_arrivals(std::uint64_t seed, const Times& ends_ns, const Rates& rates_per_s,
                                          std::int64_t window_ns) {
  if (window_ns < 1) throw py::value_error("window_ns must be positive");
  const auto ends = span_of(ends_ns);
  std::vector<std::uint64_t> counts(ends.empty() ? 0 : static_cast<std::size_t>((ends.back() - 1) / window_ns) + 1);
  mark::ArrivalStream arrivals(seed);
  arrivals.offer_rates(ends, span_of(rates_per_s));
  for (; arrivals.next() != mark::TimeNs::max(); arrivals.pop()) {
    ++counts[static_cast<std::size_t>(ns_of(arrivals.next()) / window_ns)];
  }
  return array_of(counts);
}

void bind_parts(py::module_& m) {
  py::class_<CreditParams>(m, "CreditParams", "How a burstable instance runs on credits.")
      .def(py::init([](double baseline_share, double credits_s, double credits_max_s, bool unlimited) {
             if (!(baseline_share > 0 && baseline_share <= 1) || !(credits_s >= 0) || !(credits_max_s >= 0)) {
               throw std::invalid_argument("credits: needs 0 < baseline_share <= 1, and no negative credits");
             }
             return CreditParams{baseline_share, credits_s, credits_max_s, unlimited};
           }),
           py::kw_only(), py::arg("baseline_share"), py::arg("credits_s"), py::arg("credits_max_s"),
           py::arg("unlimited") = false);
  py::class_<CreditBucket>(m, "CreditBucket",
                           "A burstable instance's credits; a worker that stands for one has it, too.")
      .def(py::init([](const CreditParams& params, std::int64_t now_ns) {
             return CreditBucket{params, mark::TimeNs{DurationNs{now_ns}}};
           }),
           py::arg("params"), py::arg("now_ns"))
      .def(
          "run",
          [](CreditBucket& bucket, std::int64_t work_ns, std::int64_t now_ns) {
            return bucket.run(DurationNs{work_ns}, mark::TimeNs{DurationNs{now_ns}}).count();
          },
          py::arg("work_ns"), py::arg("now_ns"))
      .def(
          "credits_s",
          [](CreditBucket& bucket, std::int64_t now_ns) { return bucket.credits_s(mark::TimeNs{DurationNs{now_ns}}); },
          py::arg("now_ns"));
  py::class_<FunctionPoolParams>(m, "FunctionPoolParams", "A cloud's serverless functions as they behave.")
      .def(py::init([](std::int64_t latency_ns, int concurrency_max) {
             FunctionPoolParams params;
             params.latency = DurationNs{latency_ns};
             params.concurrency_max = concurrency_max;
             params.idle_max = std::chrono::minutes{45};
             params.cold_starts_burst = concurrency_max;
             return params;
           }),
           py::arg("latency_ns"), py::kw_only(), py::arg("concurrency_max"))
      .def(
          "set_starts",
          [](FunctionPoolParams& params, std::int64_t cold_start_ns, double burst, double per_s) {
            params.cold_start = DurationNs{cold_start_ns};
            params.cold_starts_burst = burst;
            params.cold_starts_per_s = per_s;
          },
          py::kw_only(), py::arg("cold_start_ns"), py::arg("burst"), py::arg("per_s"))
      .def(
          "set_warmth",
          [](FunctionPoolParams& params, std::int64_t idle_max_ns, int keep_warm, std::int64_t ping_interval_ns) {
            params.idle_max = DurationNs{idle_max_ns};
            params.keep_warm = keep_warm;
            params.ping_interval = DurationNs{ping_interval_ns};
          },
          py::kw_only(), py::arg("idle_max_ns"), py::arg("keep_warm"), py::arg("ping_interval_ns"))
      .def(
          "set_price",
          [](FunctionPoolParams& params, double usd_per_request, double usd_per_s, std::int64_t billed_quantum_ns) {
            params.price = {DurationNs{billed_quantum_ns}, usd_per_request, usd_per_s};
          },
          py::kw_only(), py::arg("usd_per_request"), py::arg("usd_per_s"), py::arg("billed_quantum_ns"));
}

// Without the interpreter's lock, but for a look at signals now and then: a long run can be interrupted.
void run_until(Simulation& simulation, std::int64_t now_ns) {
  constexpr std::int64_t kEventsBetweenLooks = 1 << 20;
  bool done = false;
  while (!done) {
    {
      const py::gil_scoped_release release;
      done = simulation.run_until(time_of(now_ns), kEventsBetweenLooks);
    }
    if (PyErr_CheckSignals() != 0) {
      throw py::error_already_set();
    }
  }
}

void bind_driving(py::class_<Simulation>& bound) {
  bound
      .def(py::init([](const DispatcherParams& dispatcher, std::uint64_t seed, double service_variation,
                       std::int64_t bin_ns, std::int64_t counted_from_ns, bool keeps_batches,
                       const std::optional<FunctionPoolParams>& functions, const mark::BurstLimits& burst_limits,
                       double lowest_share) {
             const SimulationParams params{
                 seed,          service_variation, DurationNs{bin_ns}, time_of(counted_from_ns),
                 keeps_batches, burst_limits,      lowest_share};
             return Simulation(dispatcher, params, functions);
           }),
           py::arg("dispatcher"), py::kw_only(), py::arg("seed") = 0, py::arg("service_variation") = 0.0,
           py::arg("bin_ns") = std::int64_t{60'000'000'000}, py::arg("counted_from_ns") = std::int64_t{0},
           py::arg("keeps_batches") = false, py::arg("functions") = std::nullopt,
           py::arg("burst_limits") = mark::BurstLimits{}, py::arg("lowest_share") = 0.0)
      .def("shed", &Simulation::shed, py::arg("share"))
      .def("limit_bursts", &Simulation::limit_bursts, py::arg("usd_per_hour"))
      .def_property_readonly("bursts_usd", &Simulation::bursts_usd)
      .def(
          "offer_rates",
          [](Simulation& simulation, const Times& ends_ns, const Rates& rates_per_s) {
            simulation.arrivals().offer_rates(span_of(ends_ns), span_of(rates_per_s));
          },
          py::arg("ends_ns"), py::arg("rates_per_s"))
      .def(
          "offer_instants",
          [](Simulation& simulation, const Times& instants_ns) {
            simulation.arrivals().offer_instants(span_of(instants_ns));
          },
          py::arg("instants_ns"))
      .def("run_until", &run_until, py::arg("now_ns"))
      .def(
          "worker_up",
          [](Simulation& simulation, std::uint32_t worker, const mark::WorkerSpec& spec, double slowdown,
             const std::optional<CreditParams>& credits) {
            simulation.worker_up(WorkerId{worker}, {.spec = spec, .slowdown = slowdown, .credits = credits});
          },
          py::arg("worker"), py::arg("spec"), py::kw_only(), py::arg("slowdown") = 1.0,
          py::arg("credits") = std::nullopt)
      .def(
          "worker_drain",
          [](Simulation& simulation, std::uint32_t worker) { simulation.worker_drain(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_slowdown",
          [](Simulation& simulation, std::uint32_t worker, double slowdown) {
            simulation.worker_slowdown(WorkerId{worker}, slowdown);
          },
          py::arg("worker"), py::arg("slowdown"))
      .def(
          "worker_busy",
          [](const Simulation& simulation, std::uint32_t worker) { return simulation.worker_busy(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "worker_down", [](Simulation& simulation, std::uint32_t worker) { simulation.worker_down(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "credits_s",
          [](Simulation& simulation, std::uint32_t worker) { return simulation.credits_s(WorkerId{worker}); },
          py::arg("worker"))
      .def(
          "surplus_s",
          [](const Simulation& simulation, std::uint32_t worker) { return simulation.surplus_s(WorkerId{worker}); },
          py::arg("worker"));
}

py::list batches_of(const Simulation& simulation) {
  py::list batches;
  for (const mark::SimulatedBatch& batch : simulation.batches()) {
    batches.append(py::make_tuple(ns_of(batch.launched), static_cast<std::uint32_t>(batch.worker), batch.requests));
  }
  return batches;
}

py::list bursts_of(const Simulation& simulation) {
  py::list bursts;
  for (const mark::SimulatedBurst& burst : simulation.bursts()) {
    bursts.append(py::make_tuple(ns_of(burst.decided), burst.request, burst.verdict));
  }
  return bursts;
}

void bind_results(py::class_<Simulation>& bound) {
  bound.def_property_readonly("now_ns", [](const Simulation& simulation) { return ns_of(simulation.now()); })
      .def_property_readonly("arrived", &Simulation::arrived)
      .def_property_readonly("offered", [](const Simulation& simulation) { return simulation.tally().offered(); })
      .def(
          "ended", [](const Simulation& simulation, Ending ending) { return simulation.tally().ended(ending); },
          py::arg("ending"))
      .def_property_readonly("offered_by_bin",
                             [](const Simulation& simulation) { return array_of(simulation.tally().offered_by_bin()); })
      .def_property_readonly("in_time_by_bin",
                             [](const Simulation& simulation) { return array_of(simulation.tally().in_time_by_bin()); })
      .def_property_readonly("burst_by_bin",
                             [](const Simulation& simulation) { return array_of(simulation.tally().burst_by_bin()); })
      .def_property_readonly("latency_sum_ns",
                             [](const Simulation& simulation) { return ns_of(simulation.tally().latency().sum()); })
      .def(
          "latency_quantile_ns",
          [](const Simulation& simulation, double q) { return ns_of(simulation.tally().latency().quantile(q)); },
          py::arg("q"))
      .def_property_readonly("latency_buckets",
                             [](const Simulation& simulation) {
                               const auto& buckets = simulation.tally().latency().buckets();
                               return array_of(std::vector<std::uint64_t>(buckets.begin(), buckets.end()));
                             })
      .def_property_readonly("latency_edges_ns",
                             [](const Simulation&) {
                               std::vector<std::int64_t> edges;
                               edges.reserve(LatencyHistogram::kBuckets);
                               for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket) {
                                 edges.push_back(ns_of(LatencyHistogram::upper_edge(bucket)));
                               }
                               return array_of(edges);
                             })
      .def_property_readonly("functions_usd",
                             [](const Simulation& simulation) {
                               const mark::FunctionPool* functions = simulation.functions();
                               return functions == nullptr ? 0.0 : functions->usd(simulation.now());
                             })
      .def_property_readonly("cold_starts",
                             [](const Simulation& simulation) {
                               const mark::FunctionPool* functions = simulation.functions();
                               return functions == nullptr ? std::uint64_t{0} : functions->cold_starts();
                             })
      .def("batches", &batches_of)
      .def("bursts", &bursts_of)
      .def("burst_statistics", &Simulation::burst_statistics)
      .def("statistics", &Simulation::statistics);
}

}  // namespace

void bind_simulation(py::module_& m) {
  py::native_enum<Ending>(m, "Ending", "enum.Enum")
      .value("INSTANCE", Ending::kInstance)
      .value("SERVERLESS", Ending::kServerless)
      .value("REFUSED", Ending::kRefused)
      .value("LATE", Ending::kLate)
      .value("SHED", Ending::kShed)
      .finalize();
  bind_parts(m);
  py::class_<Simulation> bound(m, "Simulation", "Drives the real dispatcher in virtual time.");
  bind_driving(bound);
  bind_results(bound);
  m.def("count_arrivals", &count_arrivals, py::arg("seed"), py::arg("ends_ns"), py::arg("rates_per_s"),
        py::arg("window_ns"));
}
