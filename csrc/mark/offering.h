// What can be rented.
#pragma once

#include <string>

namespace mark {

// One thing that the cloud sells, with what it does for the model at hand.
struct Offering {
  std::string name;
  double price_usd_per_hour = 0;
  double capacity_rows_per_s = 0;  // under the SLO (capacity_rows_per_s of its profile); 0: cannot meet it alone
  double launch_overhead_s = 0;    // billed before it serves (MArk's O_i is this times the price)
  int available = 0;               // how many more may be launched now
};

}  // namespace mark
