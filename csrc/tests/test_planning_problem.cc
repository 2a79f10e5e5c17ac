#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "mark/planning_problem.h"

namespace mark {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Offering offering(const std::string& name = "small") {
  return {.name = name, .price_usd_per_hour = 60, .capacity_rows_per_s = 10, .available = 5, .pool = {}};
}

PlanningProblem compiled(const Offering& each, const std::vector<double>& forecast = {10, 10, 10}) {
  return compile_problem({each}, {}, forecast, {});
}

// What it says when it refuses.
std::string refusal(const std::vector<Offering>& offerings, const std::vector<InstanceGroup>& groups,
                    const std::vector<double>& forecast, const PlanningParams& params = {}) {
  try {
    compile_problem(offerings, groups, forecast, params);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

bool says(const std::string& message, const std::string& words) { return message.find(words) != std::string::npos; }

TEST_CASE("an offering with a number that makes no sense is refused by its name") {
  for (const double wrong : {-1.0, kNan, kInf}) {
    std::vector<Offering> bad(6, offering());
    bad[0].price_usd_per_hour = wrong;
    bad[1].capacity_rows_per_s = wrong;
    bad[2].launch_overhead_s = wrong;
    bad[3].boot_s = wrong;
    bad[4].unavailable_until_s = wrong;
    bad[5].interruptions_per_hour = wrong;
    for (const Offering& each : bad) {
      CHECK(says(refusal({offering("other"), each}, {}, {1}), "offering small"));
    }
  }
}

TEST_CASE("shares, credits and availability outside their ranges are refused by the offering's name") {
  std::vector<Offering> bad(7, offering());
  bad[0].pool_share_max = 0;
  bad[1].pool_share_max = 1.5;
  bad[2].baseline_share = -0.1;
  bad[3].baseline_share = kNan;
  bad[4].credits_s = -1;
  bad[5].credits_s = kNan;
  bad[6].available = -1;
  for (const Offering& each : bad) {
    CHECK(says(refusal({each}, {}, {1}), "offering small"));
  }
}

TEST_CASE("a forecast that makes no sense is refused with its step") {
  for (const double wrong : {-1.0, kNan, kInf}) {
    CHECK(says(refusal({offering()}, {}, {1, wrong}), "the forecast of step 1"));
  }
  CHECK(says(refusal({offering()}, {}, {}), "at least one step"));
}

TEST_CASE("an empty catalogue is refused, load or not") {
  CHECK(says(refusal({}, {}, {1}), "the catalogue is empty"));
  CHECK(says(refusal({}, {}, {0}), "the catalogue is empty"));
}

TEST_CASE("params that make no sense are refused") {
  for (const double wrong : {-1.0, kNan, kInf}) {
    std::vector<PlanningParams> bad(6);
    bad[0].step_s = wrong;
    bad[1].min_life_s = wrong;
    bad[2].switching_usd = wrong;
    bad[3].miss_usd_per_million_rows = wrong;
    bad[4].serverless.usd_per_million_rows = wrong;
    bad[5].serverless.rows_per_s_max = wrong;
    for (const PlanningParams& params : bad) {
      CHECK(refusal({offering()}, {}, {1}, params) != "accepted");
    }
  }
  PlanningParams timeless;
  timeless.step_s = 0;
  CHECK(says(refusal({offering()}, {}, {1}, timeless), "step_s"));
}

TEST_CASE("a running group that makes no sense is refused") {
  const std::vector<Offering> one{offering()};
  CHECK(says(refusal(one, {{.offering = 1, .count = 1}}, {1}), "names offering 1"));
  CHECK(says(refusal(one, {{.offering = -1, .count = 1}}, {1}), "names offering -1"));
  CHECK(says(refusal(one, {{.offering = 0, .count = -1}}, {1}), "has -1 instances"));
  CHECK(says(refusal(one, {{.offering = 0, .count = 1, .ready_in_s = kNan}}, {1}), "ready_in_s"));
  CHECK(says(refusal(one, {{.offering = 0, .count = 1, .kept_for_s = -1}}, {1}), "kept_for_s"));
  CHECK(says(refusal(one, {{.offering = 0, .count = 1, .credits_s = kNan}}, {1}), "credits_s"));
}

TEST_CASE("when nothing can serve the load, each offering is named with the constraint that it fails") {
  std::vector<Offering> offerings{offering("weak"), offering("full"), offering("sold-out")};
  offerings[0].capacity_rows_per_s = 0;
  offerings[1].available = 0;
  offerings[2].unavailable_until_s = 600;
  const std::string message = refusal(offerings, {}, {10, 10});
  CHECK(says(message, "weak: does not meet the SLO"));
  CHECK(says(message, "full: no more of it may be launched (max_count)"));
  CHECK(says(message, "sold-out: unavailable for 600 s"));
}

TEST_CASE("what runs without serving anything is no way to serve the load") {
  Offering weak = offering("weak");
  weak.capacity_rows_per_s = 0;
  CHECK(says(refusal({weak}, {{.offering = 0, .count = 3}}, {10}), "weak: does not meet the SLO"));
}

TEST_CASE("without load, or with serverless, nothing needs to be launched") {
  Offering full = offering();
  full.available = 0;
  CHECK(compiled(full, {0, 0}).families.empty());
  const PlanningParams lambda{.serverless = {.usd_per_million_rows = 1, .rows_per_s_max = 100}};
  CHECK(compile_problem({full}, {}, {10}, lambda).families.empty());
}

TEST_CASE("a launch serves from the first step that begins after its boot") {
  Offering each = offering();
  for (const auto& [boot_s, first] : std::vector<std::pair<double, int>>{{0, 0}, {1, 1}, {60, 1}, {61, 2}}) {
    each.boot_s = boot_s;
    CHECK(compiled(each).families.at(0).first == first);
  }
}

TEST_CASE("an offering that is sold out for a while is launched later, not now") {
  Offering each = offering();
  each.unavailable_until_s = 30;
  each.boot_s = 60;
  const Family family = compiled(each).families.at(0);
  CHECK(family.first == 2);
  CHECK_FALSE(family.from_now);
}

TEST_CASE("a boot beyond the horizon counts for its last step, of a launch and of what was launched") {
  Offering slow = offering();
  slow.boot_s = 1e6;
  const PlanningProblem problem = compile_problem({slow}, {{.offering = 0, .count = 2, .ready_in_s = 1e6}}, {5, 5}, {});
  REQUIRE(problem.families.size() == 2);
  CHECK(problem.families[0].first == 1);
  CHECK(problem.families[0].kept_through == 2);
  CHECK(problem.families[1].first == 1);
}

TEST_CASE("a start is paid with the billed boot and the switching cost, a step with its share of an hour") {
  Offering each = offering();
  each.launch_overhead_s = 120;
  PlanningParams params;
  params.switching_usd = 0.5;
  const Family family = compile_problem({each}, {}, {10}, params).families.at(0);
  CHECK(family.start_usd == doctest::Approx(2.5));
  CHECK(family.usd_per_step == doctest::Approx(1.0));
}

TEST_CASE("what is interrupted pays for the boots of its replacements, and for what serverless takes meanwhile") {
  Offering spot = offering();
  spot.launch_overhead_s = 120;
  spot.boot_s = 60;
  spot.interruptions_per_hour = 6;
  // Every ten minutes two dollars of boot: 0.2 dollars a minute.
  CHECK(compiled(spot).families.at(0).usd_per_step == doctest::Approx(1.2));
  const PlanningParams lambda{.serverless = {.usd_per_million_rows = 1000, .rows_per_s_max = 100}};
  // And 600 rows at 0.001 dollars.
  CHECK(compile_problem({spot}, {}, {10}, lambda).families.at(0).usd_per_step == doctest::Approx(1.26));
}

TEST_CASE("a burstable serves at full capacity for whole steps within its credits, then its baseline") {
  Offering burstable = offering();
  burstable.credits_s = 150;
  burstable.baseline_share = 0.2;
  const std::vector<Family> families = compiled(burstable, {10, 10, 10, 10}).families;
  REQUIRE(families.size() == 2);
  CHECK(families[0].rows_per_s == std::vector<double>{10, 10, 2, 2});
  CHECK(families[0].only_shrinks);
  CHECK(families[1].rows_per_s == std::vector<double>{2, 2, 2, 2});
}

TEST_CASE("a running burstable has the credits that are left to it") {
  Offering burstable = offering();
  burstable.credits_s = 1000;
  burstable.baseline_share = 0.2;
  const PlanningProblem problem = compile_problem({burstable}, {{.count = 1, .credits_s = 60}}, {10, 10, 10}, {});
  CHECK(problem.families.at(0).rows_per_s == std::vector<double>{10, 2, 2});
}

TEST_CASE("a pool carries its share of each step, or one instance") {
  Offering spot = offering();
  spot.pool_share_max = 0.5;
  const PlanningProblem problem = compiled(spot, {100, 10});
  REQUIRE(problem.pools.size() == 1);
  CHECK(problem.pools[0].rows_per_s == std::vector<double>{50, 10});
}

TEST_CASE("offerings that name a pool share it, those that name none have one of their own") {
  std::vector<Offering> spots(4, offering());
  for (std::size_t i = 0; i < spots.size(); ++i) {
    spots[i].name = "spot-" + std::to_string(i);
    spots[i].pool_share_max = 0.5;
    spots[i].pool = i < 2 ? "zone" : "";
  }
  const PlanningProblem problem = compile_problem(spots, {}, {100}, {});
  CHECK(problem.families[0].pool == problem.families[1].pool);
  CHECK(problem.families[2].pool != problem.families[3].pool);
  CHECK(problem.pools.size() == 3);
}

TEST_CASE("times beyond any horizon are bounded by it") {
  PlanningParams long_life;
  long_life.min_life_s = 1e300;
  const PlanningProblem problem =
      compile_problem({offering()}, {{.offering = 0, .count = 1, .kept_for_s = 1e300}}, {10, 10}, long_life);
  CHECK(problem.min_life_steps == 2);
  CHECK(problem.families.at(0).kept_through == 2);
}

}  // namespace
}  // namespace mark
