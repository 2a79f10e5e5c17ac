// The refined provisioner: offerings, running groups and forecast in, plan out.
#include "bindings/bindings.h"
#include "mark/plan_refiner.h"
#include "mark/planning_problem.h"
#include "mark/starting_schedules.h"

namespace {

using Rates = py::array_t<double, py::array::c_style | py::array::forcecast>;
using Counts = std::vector<std::vector<int>>;

Rates rates_of(const std::vector<double>& values) {
  return Rates(static_cast<py::ssize_t>(values.size()), values.data());
}

mark::PlanningProblem compile(const std::vector<mark::Offering>& offerings,
                              const std::vector<mark::InstanceGroup>& groups, const Rates& forecast,
                              const mark::PlanningParams& params) {
  if (forecast.ndim() != 1) throw py::value_error("forecast_rows_per_s must be one-dimensional");
  return mark::compile_problem(offerings, groups, {forecast.data(), forecast.data() + forecast.size()}, params);
}

mark::RefinedPlan refined_plan(const mark::PlanningProblem& problem, const Counts& last_counts, int moves_max) {
  const py::gil_scoped_release release;
  return mark::refined_plan(problem, last_counts, moves_max);
}

// What Algorithm 1 goes on to cost from here, and the rows that it misses.
py::tuple greedy_cost(const mark::PlanningProblem& problem) {
  const mark::ScheduleCost cost = mark::greedy_in_order_of_time(problem).cost();
  return py::make_tuple(cost.usd, cost.missed_rows);
}

void bind_inputs(py::module_& m) {
  using mark::InstanceGroup;
  using mark::PlanningParams;
  py::class_<InstanceGroup>(m, "InstanceGroup", "Instances that are alike in everything that matters to a plan.")
      .def(py::init([](int offering, int count, double ready_in_s, double kept_for_s, double credits_s) {
             return InstanceGroup{offering, count, ready_in_s, kept_for_s, credits_s};
           }),
           py::arg("offering"), py::arg("count"), py::kw_only(), py::arg("ready_in_s") = 0.0,
           py::arg("kept_for_s") = 0.0, py::arg("credits_s") = std::numeric_limits<double>::infinity());
  py::class_<PlanningParams>(m, "PlanningParams", "What a plan minimises, beside the price of its instances.")
      .def(py::init([](double step_s, double min_life_s, double switching_usd, double serverless_usd_per_million_rows,
                       double serverless_rows_per_s_max, double miss_usd_per_million_rows) {
             return PlanningParams{.step_s = step_s,
                                   .min_life_s = min_life_s,
                                   .switching_usd = switching_usd,
                                   .serverless = {serverless_usd_per_million_rows, serverless_rows_per_s_max},
                                   .miss_usd_per_million_rows = miss_usd_per_million_rows};
           }),
           py::kw_only(), py::arg("step_s"), py::arg("min_life_s") = 60.0, py::arg("switching_usd") = 0.0,
           py::arg("serverless_usd_per_million_rows") = 0.0, py::arg("serverless_rows_per_s_max") = 0.0,
           py::arg("miss_usd_per_million_rows") = 0.0);
}

void bind_problem(py::module_& m) {
  using mark::Family;
  using mark::PlanningProblem;
  py::class_<Family>(m, "Family", "Equal instances, whose number at each step a schedule chooses.")
      .def_readonly("offering", &Family::offering)
      .def_readonly("group", &Family::group)
      .def_property_readonly("rows_per_s", [](const Family& family) { return rates_of(family.rows_per_s); })
      .def_readonly("usd_per_step", &Family::usd_per_step)
      .def_readonly("start_usd", &Family::start_usd)
      .def_readonly("first", &Family::first)
      .def_readonly("kept_through", &Family::kept_through)
      .def_readonly("count_now", &Family::count_now)
      .def_readonly("count_max", &Family::count_max)
      .def_readonly("twin", &Family::twin)
      .def_readonly("only_shrinks", &Family::only_shrinks)
      .def_readonly("pool", &Family::pool);
  py::class_<PlanningProblem>(m, "PlanningProblem", "What the refined provisioner minimises.")
      .def(py::init(&compile), py::arg("offerings"), py::arg("groups"), py::arg("forecast_rows_per_s"),
           py::arg("params"))
      .def_readonly("steps", &PlanningProblem::steps)
      .def_readonly("step_s", &PlanningProblem::step_s)
      .def_property_readonly("forecast_rows_per_s",
                             [](const PlanningProblem& problem) { return rates_of(problem.forecast_rows_per_s); })
      .def_readonly("families", &PlanningProblem::families)
      .def_property_readonly("pool_limits_rows_per_s",
                             [](const PlanningProblem& problem) {
                               py::list limits;
                               for (const mark::Pool& pool : problem.pools) limits.append(rates_of(pool.rows_per_s));
                               return limits;
                             })
      .def_readonly("serverless_rows_per_s_max", &PlanningProblem::serverless_rows_per_s_max)
      .def_readonly("serverless_usd_per_row", &PlanningProblem::serverless_usd_per_row)
      .def_readonly("miss_usd_per_row", &PlanningProblem::miss_usd_per_row)
      .def_readonly("must_cover", &PlanningProblem::must_cover)
      .def_readonly("min_life_steps", &PlanningProblem::min_life_steps);
}

}  // namespace

void bind_planning(py::module_& m) {
  using mark::PlannedChange;
  using mark::RefinedPlan;
  bind_inputs(m);
  bind_problem(m);
  py::class_<PlannedChange>(m, "PlannedChange", "Some instances that are launched, retired or kept now.")
      .def_readonly("offering", &PlannedChange::offering)
      .def_readonly("group", &PlannedChange::group)
      .def_readonly("count", &PlannedChange::count)
      .def_readonly("binding_step", &PlannedChange::binding_step)
      .def_readonly("usd", &PlannedChange::usd)
      .def_readonly("has_alternative", &PlannedChange::has_alternative)
      .def_readonly("alternative_offering", &PlannedChange::alternative_offering)
      .def_readonly("alternative_count", &PlannedChange::alternative_count)
      .def_readonly("alternative_runs", &PlannedChange::alternative_runs)
      .def_readonly("alternative_extra_usd", &PlannedChange::alternative_extra_usd);
  py::class_<RefinedPlan>(m, "RefinedPlan", "What to launch, retire and keep now, and the schedule behind it.")
      .def_readonly("launch", &RefinedPlan::launch)
      .def_readonly("retire", &RefinedPlan::retire)
      .def_readonly("keep", &RefinedPlan::keep)
      .def_property_readonly("usd", [](const RefinedPlan& plan) { return plan.cost.usd; })
      .def_property_readonly("missed_rows", [](const RefinedPlan& plan) { return plan.cost.missed_rows; })
      .def_readonly("usd_per_hour", &RefinedPlan::usd_per_hour)
      .def_readonly("counts", &RefinedPlan::counts)
      .def_readonly("exact", &RefinedPlan::exact);
  m.def("refined_plan", &refined_plan, py::arg("problem"), py::arg("last_counts") = Counts{}, py::kw_only(),
        py::arg("moves_max") = std::numeric_limits<int>::max(),
        "The optimum where the problem is small, else the best that a bounded search finds.");
  m.def("greedy_cost", &greedy_cost, py::arg("problem"),
        "(dollars, rows missed) of Algorithm 1 in the order of time over the horizon.");
}
