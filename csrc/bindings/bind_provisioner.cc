// The provisioner: offerings, fleet and forecast in, plan out.
#include "bindings/bindings.h"
#include "mark/greedy_provisioner.h"

namespace {

mark::Plan provision_greedily(const std::vector<mark::Offering>& offerings, const mark::Fleet& fleet,
                              const py::array_t<double, py::array::c_style | py::array::forcecast>& forecast,
                              double step_s, int lead_steps) {
  if (forecast.ndim() != 1) throw py::value_error("forecast_rows_per_s must be one-dimensional");
  const std::vector<double> rates(forecast.data(), forecast.data() + forecast.size());
  const py::gil_scoped_release release;
  return mark::provision_greedily(offerings, fleet, rates, {.step_s = step_s, .lead_steps = lead_steps});
}

}  // namespace

void bind_provisioner(py::module_& m) {
  py::class_<mark::Offering>(m, "PlanningOffering", "What can be rented, with what it does for the model at hand.")
      .def(py::init([](std::string name, double price, double capacity, double overhead, int available) {
             mark::Offering offering;
             offering.name = std::move(name);
             offering.price_usd_per_hour = price;
             offering.capacity_rows_per_s = capacity;
             offering.launch_overhead_s = overhead;
             offering.available = available;
             return offering;
           }),
           py::arg("name"), py::kw_only(), py::arg("price_usd_per_hour"), py::arg("capacity_rows_per_s"),
           py::arg("launch_overhead_s"), py::arg("available"))
      .def(
          "set_life",
          [](mark::Offering& offering, double boot_s, double unavailable_until_s, double interruptions_per_hour) {
            offering.boot_s = boot_s;
            offering.unavailable_until_s = unavailable_until_s;
            offering.interruptions_per_hour = interruptions_per_hour;
          },
          py::kw_only(), py::arg("boot_s"), py::arg("unavailable_until_s"), py::arg("interruptions_per_hour"))
      .def(
          "set_pool",
          [](mark::Offering& offering, std::string pool, double share_max) {
            offering.pool = std::move(pool);
            offering.pool_share_max = share_max;
          },
          py::arg("pool"), py::arg("share_max"))
      .def(
          "set_credits",
          [](mark::Offering& offering, double baseline_share, double credits_s) {
            offering.baseline_share = baseline_share;
            offering.credits_s = credits_s;
          },
          py::kw_only(), py::arg("baseline_share"), py::arg("credits_s"));
  py::class_<mark::Instance>(m, "PlanningInstance", "An instance that runs or boots.")
      .def(py::init([](std::uint64_t id, int offering, double ready_in_s) {
             return mark::Instance{id, offering, ready_in_s};
           }),
           py::arg("id"), py::arg("offering"), py::arg("ready_in_s"));
  py::class_<mark::Choice>(m, "Choice", "A running instance kept, or an offering launched.")
      .def_readonly("offering", &mark::Choice::offering)
      .def_readonly("instance", &mark::Choice::instance)
      .def_readonly("binding_step", &mark::Choice::binding_step)
      .def_readonly("usd_per_million_rows", &mark::Choice::usd_per_million_rows)
      .def_readonly("rejected_offering", &mark::Choice::rejected_offering)
      .def_readonly("rejected_running", &mark::Choice::rejected_running)
      .def_readonly("rejected_usd_per_million_rows", &mark::Choice::rejected_usd_per_million_rows);
  py::class_<mark::Plan>(m, "Plan", "What to keep, launch and retire.")
      .def_readonly("choices", &mark::Plan::choices)
      .def_readonly("retire", &mark::Plan::retire)
      .def_readonly("uncovered_rows_per_s", &mark::Plan::uncovered_rows_per_s);
  m.def("provision_greedily", &provision_greedily, py::arg("offerings"), py::arg("fleet"),
        py::arg("forecast_rows_per_s"), py::kw_only(), py::arg("step_s"), py::arg("lead_steps"),
        "MArk's Algorithm 1 (USENIX ATC'19, section 4.4), corrected.");
}
