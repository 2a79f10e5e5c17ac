// The bouncer: what goes to serverless functions, what they cost, and what became of it.
#include <limits>

#include "bindings/bindings.h"
#include "mark/burst_ledger.h"
#include "mark/burst_policy.h"
#include "mark/function_price.h"

namespace {

using mark::BreakerState;
using mark::BurstLedger;
using mark::BurstLimits;
using mark::BurstPolicy;
using mark::BurstStatistics;
using mark::BurstTicket;
using mark::BurstVerdict;
using mark::DurationNs;
using mark::FunctionPrice;
using mark::Outcome;

void bind_enums(py::module_& m) {
  py::native_enum<BurstVerdict>(m, "BurstVerdict", "enum.Enum")
      .value("SEND", BurstVerdict::kSend)
      .value("TOO_LATE", BurstVerdict::kTooLate)
      .value("BROKEN", BurstVerdict::kBroken)
      .value("AT_LIMIT", BurstVerdict::kAtLimit)
      .value("OVER_BUDGET", BurstVerdict::kOverBudget)
      .finalize();
  py::native_enum<BreakerState>(m, "BreakerState", "enum.Enum")
      .value("CLOSED", BreakerState::kClosed)
      .value("OPEN", BreakerState::kOpen)
      .value("HALF_OPEN", BreakerState::kHalfOpen)
      .finalize();
}

void bind_values(py::module_& m) {
  py::class_<FunctionPrice>(m, "FunctionPrice", "A fee for each request, and its duration in whole quanta.")
      .def(py::init([](double usd_per_request, double usd_per_s, std::int64_t quantum_ns) {
             if (!(usd_per_request >= 0) || !(usd_per_s >= 0) || quantum_ns < 1) {
               throw py::value_error("function price: needs prices of 0 or more and a positive quantum_ns");
             }
             return FunctionPrice{DurationNs{quantum_ns}, usd_per_request, usd_per_s};
           }),
           py::kw_only(), py::arg("usd_per_request"), py::arg("usd_per_s"), py::arg("quantum_ns"))
      .def(
          "usd", [](const FunctionPrice& price, std::int64_t ran_ns) { return price.usd(DurationNs{ran_ns}); },
          py::arg("ran_ns"));
  py::class_<BurstLimits>(m, "BurstLimits", "What may be spent, and how many failures in a row are too many; 0: none.")
      .def(py::init([](double budget_usd_per_hour, int failures_max, std::int64_t open_ns) {
             return BurstLimits{budget_usd_per_hour, {.failures_max = failures_max, .open = DurationNs{open_ns}}};
           }),
           py::kw_only(), py::arg("budget_usd_per_hour") = std::numeric_limits<double>::infinity(),
           py::arg("failures_max") = 0, py::arg("open_ns") = 0);
  py::class_<BurstTicket>(m, "BurstTicket", "What `BurstPolicy.sent` hands out and `ended` takes back.");
}

void bind_policy(py::module_& m) {
  py::class_<BurstPolicy>(m, "BurstPolicy", "Whether a request that no instance can answer goes to a function.")
      .def(
          py::init([](std::int64_t latency_ns, int concurrency_max, double usd_per_request, const BurstLimits& limits) {
            return BurstPolicy({DurationNs{latency_ns}, concurrency_max, usd_per_request, limits});
          }),
          py::arg("latency_ns"), py::kw_only(), py::arg("concurrency_max"), py::arg("usd_per_request") = 0.0,
          py::arg("limits") = BurstLimits{})
      .def(
          "decide",
          [](const BurstPolicy& policy, std::int64_t deadline_ns, std::int64_t now_ns) {
            return policy.decide(time_of(deadline_ns), time_of(now_ns));
          },
          py::arg("deadline_ns"), py::arg("now_ns"))
      .def(
          "sent", [](BurstPolicy& policy, std::int64_t now_ns) { return policy.sent(time_of(now_ns)); },
          py::arg("now_ns"))
      .def(
          "ended",
          [](BurstPolicy& policy, const BurstTicket& ticket, bool failed, double usd, std::int64_t now_ns) {
            policy.ended(ticket, failed, usd, time_of(now_ns));
          },
          py::arg("ticket"), py::kw_only(), py::arg("failed"), py::arg("usd"), py::arg("now_ns"))
      .def("limit", &BurstPolicy::limit, py::arg("usd_per_hour"))
      .def_property_readonly("in_flight", &BurstPolicy::in_flight)
      .def_property_readonly("usd_per_request", &BurstPolicy::usd_per_request)
      .def(
          "spent_usd", [](const BurstPolicy& policy, std::int64_t now_ns) { return policy.spent_usd(time_of(now_ns)); },
          py::arg("now_ns"))
      .def(
          "breaker", [](const BurstPolicy& policy, std::int64_t now_ns) { return policy.breaker(time_of(now_ns)); },
          py::arg("now_ns"));
}

void bind_ledger(py::module_& m) {
  py::class_<BurstStatistics>(m, "BurstStatistics", "What became of the requests that instances could not answer.")
      .def(
          "decided",
          [](const BurstStatistics& bursts, BurstVerdict verdict) {
            return bursts.decided.at(static_cast<std::size_t>(verdict));
          },
          py::arg("verdict"))
      .def(
          "taken",
          [](const BurstStatistics& bursts, Outcome otherwise) {
            return bursts.taken.at(static_cast<std::size_t>(otherwise));
          },
          py::arg("otherwise"))
      .def(
          "ended",
          [](const BurstStatistics& bursts, Outcome outcome) {
            return bursts.ended.at(static_cast<std::size_t>(outcome));
          },
          py::arg("outcome"))
      .def_readonly("in_flight", &BurstStatistics::in_flight);
  py::class_<BurstLedger>(m, "BurstLedger", "Counts what became of the requests that instances could not answer.")
      .def(py::init([](std::int64_t margin_ns) { return BurstLedger(DurationNs{margin_ns}); }), py::arg("margin_ns"))
      .def("decided", &BurstLedger::decided, py::arg("verdict"))
      .def("sent", &BurstLedger::sent, py::arg("otherwise"))
      .def(
          "answered",
          [](BurstLedger& ledger, std::int64_t arrival_ns, std::int64_t deadline_ns, std::int64_t now_ns) {
            ledger.answered(time_of(arrival_ns), time_of(deadline_ns), time_of(now_ns));
          },
          py::arg("arrival_ns"), py::arg("deadline_ns"), py::arg("now_ns"))
      .def("ended", &BurstLedger::ended, py::arg("outcome"))
      .def(
          "left",
          [](BurstLedger& ledger, std::int64_t deadline_ns, std::int64_t now_ns) {
            ledger.left(time_of(deadline_ns), time_of(now_ns));
          },
          py::arg("deadline_ns"), py::arg("now_ns"))
      .def("statistics", [](const BurstLedger& ledger) { return ledger.statistics(); });
  m.def("with_bursts", &mark::with_bursts, py::arg("instances"), py::arg("bursts"));
  m.def("outcome_of", py::overload_cast<mark::Admission>(&mark::outcome_of), py::arg("refusal"));
}

}  // namespace

void bind_burst(py::module_& m) {
  bind_enums(m);
  bind_values(m);
  bind_policy(m);
  bind_ledger(m);
}
