// What can be rented.
#pragma once

#include <limits>
#include <string>

namespace mark {

// One thing that the cloud sells, a type in a zone and a market, with what it does for the model at hand.
struct Offering {
  std::string name;
  double price_usd_per_hour = 0;
  double capacity_rows_per_s = 0;  // under the SLO (capacity_rows_per_s of its profile); 0: cannot meet it alone
  double launch_overhead_s = 0;    // billed before it serves (MArk's O_i is this times the price)
  int available = 0;               // how many more may be launched now
  // What follows is for the refined provisioner; Algorithm 1 knows none of it.
  double boot_s = 0;               // from launch until it serves
  double unavailable_until_s = 0;  // from now; sold out until then
  double interruptions_per_hour = 0;
  std::string pool;           // offerings that are interrupted together, a type in a zone; empty: a pool of its own
  double pool_share_max = 1;  // of the load that its pool may carry; one instance is always allowed
  double baseline_share = 1;  // of the capacity that is left when a burstable has no credits
  double credits_s = std::numeric_limits<double>::infinity();  // that a new one serves at full capacity
};

// A service that takes single requests at once, at a price for each.
struct Serverless {
  double usd_per_million_rows = 0;
  double rows_per_s_max = 0;  // its limit of concurrency over its latency; 0: there is no such service
};

}  // namespace mark
